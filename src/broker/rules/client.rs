//! The responder's side.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Rule;
use super::protocol::{ANSWER_MAX, COUNT, Failure, RULES_MAX, encode};

/// The way to the process that installs rules, before there is a runtime.
#[derive(Debug)]
pub struct RuleClient(net::UnixStream);

impl RuleClient {
    /// Takes the responder's end of the pair; it must be non-blocking.
    pub(in crate::broker) fn new(stream: OwnedFd) -> Self {
        Self(stream.into())
    }

    /// Lets the runtime wait for answers; must be called inside it.
    ///
    /// # Errors
    /// If the runtime refuses.
    pub fn open(self) -> io::Result<RuleChannel> {
        UnixStream::from_std(self.0).map(RuleChannel)
    }
}

/// Asks the process that installs rules.
#[derive(Debug)]
pub struct RuleChannel(UnixStream);

impl RuleChannel {
    /// Has these rules and no others in force. Returns those that are not, by their place, and why.
    ///
    /// # Errors
    /// If the process has ended. What it was asked for stays as it is.
    pub async fn apply(&mut self, rules: &[Rule]) -> io::Result<BTreeMap<usize, String>> {
        self.0.write_all(&encode(rules)).await?;
        let mut length = [0; COUNT];
        self.0.read_exact(&mut length).await?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > ANSWER_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).await?;
        let failures: Vec<Failure> = serde_json::from_slice(&text)?;
        let place = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
        let mut failed: BTreeMap<usize, String> =
            failures.into_iter().map(|(at, text)| (place(at), text)).collect();
        for beyond in RULES_MAX..rules.len() {
            failed.insert(beyond, format!("more than {RULES_MAX} rules are wanted"));
        }
        Ok(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DeviceName;
    use super::*;

    fn pair() -> (RuleChannel, UnixStream) {
        let (ours, theirs) = net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let channel = RuleClient::new(ours.into()).open().unwrap();
        (channel, UnixStream::from_std(theirs).unwrap())
    }

    #[tokio::test]
    async fn what_is_not_in_force_is_told_by_its_place() {
        let (mut channel, mut theirs) = pair();
        let interface = DeviceName::new("vnet0").unwrap();
        let rules = [
            Rule::Nft { interface: interface.clone(), ifindex: 7 },
            Rule::Nft { interface, ifindex: 8 },
        ];
        let asked = encode(&rules);
        let answering = async {
            let mut request = vec![0; asked.len()];
            theirs.read_exact(&mut request).await.unwrap();
            assert_eq!(request, asked);
            let text = br#"[[1,"no such device"]]"#;
            theirs.write_all(&u32::try_from(text.len()).unwrap().to_be_bytes()).await.unwrap();
            theirs.write_all(text).await.unwrap();
        };
        let (failed, ()) = tokio::join!(channel.apply(&rules), answering);
        assert_eq!(failed.unwrap(), [(1, "no such device".to_owned())].into());
    }

    #[tokio::test]
    async fn a_process_that_has_ended_or_talks_nonsense_is_an_error() {
        let (mut channel, theirs) = pair();
        drop(theirs);
        assert!(channel.apply(&[]).await.is_err());
        let (mut channel, mut theirs) = pair();
        theirs.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        assert_eq!(channel.apply(&[]).await.unwrap_err().to_string(), "the answer is too long");
    }
}
