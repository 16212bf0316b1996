//! A socket of nfnetlink.
//!
//! The kernel works off what it is sent within the call that sends it, and its
//! answers are there when that returns; so nothing is waited for.

use super::answer;
use super::batch::Batch;
use super::message::{Kind, Messages};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket as Netlink, SocketAddr};
use std::io;

/// The largest answer: what is listed comes in parts of 32 KiB.
const LARGEST: usize = 64 * 1024;
/// `NFTA_GEN_ID`.
const GENERATION: u16 = 1;

/// A socket; what it says is of the network namespace it was opened in.
pub struct Socket(Netlink);

impl Socket {
    /// Opens one.
    pub fn open() -> io::Result<Self> {
        let socket = Netlink::new(NETLINK_NETFILTER)?;
        socket.set_non_blocking(true)?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self(socket))
    }

    /// Sends messages and returns all answers.
    pub fn ask(&self, messages: &[u8]) -> io::Result<Vec<u8>> {
        const KERNEL: (u32, u32) = (0, 0);
        self.0
            .send_to(messages, &SocketAddr::new(KERNEL.0, KERNEL.1), 0)?;
        let mut answers = Vec::new();
        loop {
            answers.reserve(LARGEST);
            match self.0.recv(&mut answers, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(answers),
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the kernel take a batch; why it didn't, if it didn't.
    pub fn transact(&self, batch: &Batch) -> io::Result<Result<(), String>> {
        let answers = self.ask(&batch.bytes)?;
        Ok(answer::outcome(batch, &answers))
    }

    /// The number of the transaction that was last, whoever made it.
    pub fn generation(&self) -> io::Result<u32> {
        let mut question = Messages::default();
        question.message(Kind::GetGeneration, 0, |_| {});
        let answers = self.ask(&question.finish().unwrap_or_default())?;
        let number = answer::messages(&answers)
            .filter(|answer| answer.message_type() == Kind::NewGeneration as u16)
            .find_map(|answer| answer::attribute(&answer, GENERATION)?.try_into().ok());
        let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(u32::from_be_bytes(number))
    }
}
