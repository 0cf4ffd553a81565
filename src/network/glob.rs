//! Patterns of `*` (any run) and `?` (any one), over text and over bytes.

/// Matches the whole `text` against `pattern`, character by character.
#[must_use]
pub fn matches_text(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    matches(&pattern, &text, Wildcards { run: '*', one: '?' })
}

/// Matches all of `bytes` against `pattern`, byte by byte; allocates nothing.
#[must_use]
pub fn matches_bytes(pattern: &[u8], bytes: &[u8]) -> bool {
    matches(pattern, bytes, Wildcards { run: b'*', one: b'?' })
}

/// What stands for something else in a pattern.
struct Wildcards<T> {
    run: T,
    one: T,
}

/// Only the last `*` is ever taken back, so the cost is at most the product of both lengths.
fn matches<T: PartialEq>(pattern: &[T], text: &[T], wildcards: Wildcards<T>) -> bool {
    let Wildcards { run, one } = wildcards;
    let (mut at, mut seen): (usize, usize) = (0, 0);
    // Where the pattern goes on after its last `*`, and how much of the text that `*` has taken.
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(seen) {
        match pattern.get(at) {
            Some(wanted) if *wanted == run => {
                at = at.saturating_add(1);
                last_star = Some((at, seen));
            }
            Some(wanted) if *wanted == one || wanted == character => {
                at = at.saturating_add(1);
                seen = seen.saturating_add(1);
            }
            Some(_) | None => {
                let Some((after, taken)) = last_star else {
                    return false;
                };
                // The next place at which what follows the `*` may begin.
                let rest = text.get(taken.saturating_add(1)..).unwrap_or_default();
                let skipped = match pattern.get(after) {
                    Some(wanted) if *wanted != one => {
                        let Some(place) = rest.iter().position(|item| item == wanted) else {
                            return false;
                        };
                        place
                    }
                    Some(_) => 0,
                    // The `*` is the pattern's last: it takes all.
                    None => return true,
                };
                let taken = taken.saturating_add(1).saturating_add(skipped);
                last_star = Some((after, taken));
                at = after;
                seen = taken;
            }
        }
    }
    pattern.iter().skip(at).all(|wanted| *wanted == run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_runs_and_single_characters() {
        for (pattern, text) in [
            ("vnet*", "vnet12"),
            ("vnet*", "vnet"),
            ("*", ""),
            ("", ""),
            ("t?p*0", "tap100"),
            ("*a*b*", "xaxxbx"),
            ("??", "ü1"),
            ("a**b", "ab"),
        ] {
            assert!(matches_text(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("vnet*", "tap0"),
            ("", "x"),
            ("?", ""),
            ("tap", "tap0"),
            ("*a*b", "xaxxbx"),
            ("a?c", "abbc"),
        ] {
            assert!(!matches_text(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_match_as_well() {
        assert!(matches_bytes(b"PXE*", b"PXE\xff\0"));
        assert!(matches_bytes(b"??", &[0, 255]));
        assert!(!matches_bytes(b"PXE", b"PXE\0"));
    }

    /// What a pattern means, without a thought for time.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| means(rest, &text[taken..])),
            ([wanted, rest @ ..], [first, others @ ..]) => {
                (*wanted == b'?' || wanted == first) && means(rest, others)
            }
            (_, []) => false,
        }
    }

    /// Every text of these letters, up to a length.
    fn texts(letters: &[u8], length: usize) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        for start in 0.. {
            let Some(text) = all.get(start).filter(|text: &&Vec<u8>| text.len() < length) else {
                break;
            };
            let longer: Vec<_> =
                letters.iter().map(|letter| [text.as_slice(), &[*letter]].concat()).collect();
            all.extend(longer);
        }
        all
    }

    #[test]
    fn every_short_pattern_matches_what_it_means() {
        let texts_of_two = texts(b"ab", 5);
        for pattern in texts(b"ab*?", 5) {
            for text in &texts_of_two {
                assert_eq!(
                    matches_bytes(&pattern, text),
                    means(&pattern, text),
                    "{pattern:?} {text:?}"
                );
            }
        }
    }

    #[test]
    fn a_hostile_glob_ends() {
        let pattern = "a*".repeat(1_000) + "b";
        assert!(!matches_text(&pattern, &"a".repeat(2_000)));
    }
}
