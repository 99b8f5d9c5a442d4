//! How often each value is used by code that is not dead, and which loads may move.

use super::callees::Callees;
use crate::cfg::{Node, Order};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{self, Function, InstructionData, Opcode, Value};

/// Use counts, and memory epochs.
pub(super) struct Demand {
    uses: SecondaryMap<Value, u32>,
    insts: SecondaryMap<ir::Inst, Moment>,
}

/// What an instruction does to memory, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    /// Counts the instructions before that may write memory. Two instructions of one block and one
    /// epoch see the same memory.
    epoch: u32,
    has_effect: bool,
}

impl Demand {
    /// Counts the uses in the reachable blocks.
    pub(super) fn of(func: &Function, order: &Order, callees: &Callees) -> Self {
        let mut demand = Self { uses: SecondaryMap::new(), insts: SecondaryMap::new() };
        demand.uses.resize(func.dfg.num_values());
        demand.insts.resize(func.dfg.num_insts());
        let mut epoch = 0;
        for &position in &order.uses_first {
            let Node::Body(block) = order.nodes[position] else { continue };
            for inst in func.layout.block_insts(block).rev() {
                let has_effect = has_effect(func, callees, inst);
                demand.insts[inst] = Moment { epoch, has_effect };
                if has_effect {
                    epoch += 1;
                }
                let mut results = func.dfg.inst_results(inst).iter();
                if has_effect || results.any(|r| demand.uses[*r] > 0) {
                    let mut count = |value| {
                        demand.uses[func.dfg.resolve_aliases(value)] += 1;
                    };
                    if func.dfg.insts[inst].opcode().is_branch() {
                        func.dfg.inst_values(inst).for_each(count);
                    } else {
                        func.dfg.inst_args(inst).iter().for_each(|value| count(*value));
                    }
                }
            }
            epoch += 1;
        }
        demand
    }

    /// Whether a value has one use.
    pub(super) fn once(&self, value: Value) -> bool {
        self.uses[value] == 1
    }

    /// Whether no instruction between two of one block writes memory.
    pub(super) fn same_memory(&self, a: ir::Inst, b: ir::Inst) -> bool {
        self.insts[a].epoch == self.insts[b].epoch
    }

    /// Whether an instruction must be kept though nobody uses its results. A load whose result is
    /// unused is dropped, even one that might trap.
    pub(super) fn has_effect(&self, inst: ir::Inst) -> bool {
        self.insts[inst].has_effect
    }
}

fn has_effect(func: &Function, callees: &Callees, inst: ir::Inst) -> bool {
    match func.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. } => match callees.get(func_ref) {
            Some(callee) => !callee.intrinsic.is_pure() && !callee.intrinsic.is_load(),
            None => true,
        },
        InstructionData::Load { .. } => false,
        ref data => match data.opcode() {
            // Most instructions are of these, and five calls for each would tell.
            Opcode::Fma | Opcode::Splat | Opcode::Iadd | Opcode::Iconst => false,
            opcode => {
                opcode.is_terminator()
                    || opcode.is_branch()
                    || opcode.can_store()
                    || opcode.can_trap()
                    || opcode.other_side_effects()
            }
        },
    }
}
