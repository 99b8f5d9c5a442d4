//! Constant lane masks in mask registers, which the register allocator knows nothing of.
//!
//! Within a block a mask is loaded once and stays until six others have pushed it out. Where blocks
//! join, nothing is known.

use iced_x86::Register;

/// The registers; `k0` means no mask in an encoding, and `k1` is for operations that compute one.
const FIRST: Register = Register::K2;
const COUNT: usize = 6;

/// What the registers hold here.
#[derive(Debug, Default)]
pub(super) struct Masks {
    held: [Option<u16>; COUNT],
    /// The register to be overwritten next.
    next: usize,
}

impl Masks {
    /// Forgets everything, for control may come from elsewhere.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The register for a mask, and whether it holds it already; from now on it does.
    pub(super) fn take(&mut self, mask: u16) -> (Register, bool) {
        if let Some(n) = self.held.iter().position(|held| *held == Some(mask)) {
            return (FIRST + n as u32, true);
        }
        let n = self.next;
        self.held[n] = Some(mask);
        self.next = (n + 1) % COUNT;
        (FIRST + n as u32, false)
    }
}
