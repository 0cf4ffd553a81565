//! x
use super::Config;
/// x
#[must_use]
pub fn explain_defaults(config: &Config) -> String {
    format!("{config:?}")
}
