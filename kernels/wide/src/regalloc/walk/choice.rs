//! Who has a register: the values that are needed next. It decides how fast the code is, and never
//! whether it is right.

use super::{NONE, Registers, Walk, bits};
use crate::vcode::VCode;
use regalloc2::{OperandKind, VReg};
use std::ops::RangeInclusive;

/// A value that a block may begin with; the first in order are the most wanted.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Whether it has to wait for those that are needed in the loop, or that all ways bring along.
    later: bool,
    /// See [`Walk::next_use`].
    next_use: usize,
    /// Whether it is used in the loop, where the block begins one.
    is_needed: bool,
    value: usize,
}

impl Walk<'_> {
    /// The values that a block begins with that several ways lead to, besides its parameters, as
    /// many as there is room for.
    pub(super) fn choose(&self, block: usize, exits: &[Registers], room: usize) -> Vec<usize> {
        let own = self.loops.iter().find(|own| *own.start() == block);
        // Values that only live through a loop get the registers that nothing in it needs.
        let is_needed = |value: usize| {
            own.is_none_or(|own| self.liveness.users(value).any(|user| own.contains(&user)))
        };
        let live_in: Vec<(bool, usize)> = self
            .liveness
            .live_in(block, self.bank.class)
            .map(|value| (is_needed(value), value))
            .collect();
        let through = live_in.iter().filter(|(is_needed, _)| !is_needed).count();
        let blocks = own.cloned().unwrap_or(block..=block);
        let pressure = blocks.map(|block| self.liveness.pressure(block, self.bank.class)).max();
        let pressure = pressure.unwrap_or(0).saturating_sub(through);
        let registers = self.bank.order.len();
        let fits = own.is_some() && pressure <= registers;
        let mut beside = registers.saturating_sub(pressure);

        let mut wanted: Vec<Candidate> = live_in
            .into_iter()
            .filter_map(|(is_needed, value)| {
                let residences = exits.iter().filter(|exit| exit.of(value).is_some()).count();
                if residences == 0 && !(is_needed && fits) {
                    return None;
                }
                let later = if own.is_some() { !is_needed } else { residences < exits.len() };
                let next_use = self.next_use(value, block, true);
                Some(Candidate { later, next_use, is_needed, value })
            })
            .collect();
        wanted.sort_unstable();
        let mut chosen = Vec::new();
        for candidate in wanted {
            if chosen.len() == room || (!candidate.is_needed && beside == 0) {
                break;
            }
            beside -= usize::from(!candidate.is_needed);
            chosen.push(candidate.value);
        }
        chosen
    }

    /// Frees, of some registers, that of the value which is needed last from an instruction on.
    pub(super) fn evict(&mut self, block: usize, index: usize, of: u32) -> Option<u32> {
        let data = &self.vcode.blocks[block];
        let class = self.bank.class;
        let candidates = self.now.in_use & of;
        let mut next = [0; 32];
        let mut open = candidates;
        let mut note = |value: VReg, place: usize| {
            let register = self.values[value.vreg()].register;
            if value.class() == class && register != NONE && open & 1 << register != 0 {
                open &= !(1 << register);
                next[register as usize] = place;
            }
        };
        for place in index..data.insts.end {
            for operand in self.vcode.operands(&self.vcode.insts[place]) {
                if operand.kind() == OperandKind::Use {
                    note(operand.vreg(), place);
                }
            }
        }
        for argument in data.arguments.iter().flatten() {
            note(*argument, data.insts.end);
        }
        for register in bits(open) {
            let value = self.now.values[register as usize] as usize;
            next[register as usize] = self.next_use(value, block, false);
        }
        let last = bits(candidates).max_by_key(|register| next[*register as usize])?;
        self.slot(self.now.values[last as usize] as usize);
        self.drop(last);
        Some(last)
    }

    /// Where a value is used next after a block, or from its start: an instruction's number, as if
    /// the next round of a loop came right behind it.
    fn next_use(&self, value: usize, block: usize, including: bool) -> usize {
        let start = |block: usize| self.vcode.blocks[block].insts.start;
        let later = |user: &usize| *user > block || including && *user == block;
        let ahead = self.liveness.users(value).find(later).map(start);
        let around = self.loops.iter().filter_map(|own| {
            let lives = own.contains(&block) && !own.contains(&self.liveness.home(value));
            let user = self.liveness.users(value).find(|user| lives && own.contains(user))?;
            let length = self.vcode.blocks[*own.end()].insts.end - start(*own.start());
            Some(start(user) + length)
        });
        around.chain(ahead).min().unwrap_or(usize::MAX)
    }
}

/// Loops, from the header to the last block that goes back to it; code lies in the order of emission.
pub(super) fn loops(vcode: &VCode) -> Vec<RangeInclusive<usize>> {
    let blocks = 0..vcode.blocks.len();
    let latch = |header: &usize| {
        let before = vcode.blocks[*header].predecessors.iter().map(|before| before.index());
        before.filter(|before| before >= header).max()
    };
    blocks.filter_map(|header| Some(header..=latch(&header)?)).collect()
}
