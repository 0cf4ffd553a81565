//! A panic that a guest can repeat fills no log. Alone in its process: the hook is the process's.

use std::panic::catch_unwind;
use std::sync::mpsc;

use leasehold::telemetry::limit_panics;

#[test]
fn a_panic_that_is_repeated_is_told_once_and_another_place_beside_it() {
    let (told, lines) = mpsc::channel();
    limit_panics(move |panic| {
        let line = (panic.place.to_owned(), panic.message.to_owned(), panic.held_back);
        told.send(line).expect("the test listens");
    });
    for frame in 0..1_000 {
        catch_unwind(|| panic!("frame {frame}")).expect_err("it panics");
    }
    catch_unwind(|| panic!("elsewhere")).expect_err("it panics");
    let lines: Vec<_> = lines.try_iter().collect();
    let said: Vec<_> = lines.iter().map(|(_, message, held)| (message.as_str(), *held)).collect();
    assert_eq!(said, [("frame 0", 0), ("elsewhere", 0)]);
    assert!(lines.iter().all(|(place, ..)| place.starts_with("tests/panics.rs:")));
}
