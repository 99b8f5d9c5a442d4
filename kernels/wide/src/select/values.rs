//! What each value is, found once: selection looks at an operand many times.

use super::demand::Demand;
use crate::cfg::{Node, Order};
use crate::vcode::Size;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::entity::packed_option::PackedOption;
use cranelift_codegen::ir::{self, Function, InstructionData, Opcode, Value, types};

/// A value that is known when code is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    /// It is not known, or an integer.
    None,
    /// The same 32 bits in all lanes.
    Uniform(u32),
    /// Lanes that differ.
    Bytes(ir::Constant),
}

/// What is known of a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The value that names the same register: bit casts between vectors, truncations and lane 0
    /// cost nothing. None where the value was not seen: it is an alias.
    stripped: PackedOption<Value>,
    /// Whether it, and each value on the way to the stripped one, has only one use.
    pub(super) once: bool,
    /// The instruction whose first result it is.
    pub(super) definition: PackedOption<ir::Inst>,
    /// What the stripped value is as a float or a vector.
    pub(super) constant: Constant,
}

impl Known {
    /// The value that names the same register.
    pub(super) fn stripped(&self, value: Value) -> Value {
        self.stripped.expand().unwrap_or(value)
    }
}

/// What is known of the values of the reachable blocks.
pub(super) struct Values(SecondaryMap<Value, Known>);

impl Values {
    /// Looks at every value, definitions before uses.
    pub(super) fn of(func: &Function, order: &Order, demand: &Demand) -> Self {
        let mut values = Self(SecondaryMap::with_default(Known {
            stripped: None.into(),
            once: false,
            definition: None.into(),
            constant: Constant::None,
        }));
        values.0.resize(func.dfg.num_values());
        for &position in order.uses_first.iter().rev() {
            let Node::Body(block) = order.nodes[position] else { continue };
            for &param in func.dfg.block_params(block) {
                values.0[param].stripped = param.into();
                values.0[param].once = demand.once(param);
            }
            for inst in func.layout.block_insts(block) {
                let mut results = func.dfg.inst_results(inst).iter();
                if let Some(&first) = results.next() {
                    values.0[first] = values.result(func, inst, first, demand.once(first));
                }
                for &other in results {
                    values.0[other].stripped = other.into();
                    values.0[other].once = demand.once(other);
                }
            }
        }
        values
    }

    /// What is known of a value.
    pub(super) fn get(&self, func: &Function, value: Value) -> Known {
        let known = self.0[value];
        if known.stripped.is_some() { known } else { self.0[func.dfg.resolve_aliases(value)] }
    }

    fn result(&self, func: &Function, inst: ir::Inst, value: Value, once: bool) -> Known {
        let same_register = match func.dfg.insts[inst] {
            InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. } => {
                let [to, from] = [value, arg].map(|value| func.dfg.value_type(value));
                ((to.is_vector() && from.is_vector()) || from == to).then_some(arg)
            }
            InstructionData::Unary { opcode: Opcode::Ireduce, arg } => {
                Size::of(func.dfg.value_type(arg)).map(|_| arg)
            }
            InstructionData::BinaryImm8 { opcode: Opcode::Extractlane, arg, imm: 0 } => {
                (func.dfg.value_type(value) == types::F32).then_some(arg)
            }
            _ => None,
        };
        match same_register {
            Some(arg) => {
                let arg = self.get(func, arg);
                Known { once: once && arg.once, definition: inst.into(), ..arg }
            }
            None => Known {
                stripped: value.into(),
                once,
                definition: inst.into(),
                constant: self.constant(func, inst),
            },
        }
    }

    fn constant(&self, func: &Function, inst: ir::Inst) -> Constant {
        match func.dfg.insts[inst] {
            InstructionData::UnaryIeee32 { imm, .. } => Constant::Uniform(imm.bits()),
            InstructionData::Unary { opcode: Opcode::Splat, arg } => {
                let scalar = self.get(func, arg);
                let scalar = self.get(func, scalar.stripped(arg)).definition.expand();
                match scalar.map(|inst| &func.dfg.insts[inst]) {
                    Some(InstructionData::UnaryIeee32 { imm, .. }) => Constant::Uniform(imm.bits()),
                    Some(InstructionData::UnaryImm { imm, .. })
                        if func.dfg.value_type(arg) == types::I32 =>
                    {
                        Constant::Uniform(imm.bits() as u32)
                    }
                    _ => Constant::None,
                }
            }
            InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle } => {
                let bytes = func.dfg.constants.get(constant_handle).as_slice();
                match bytes.first_chunk() {
                    Some(first) if bytes.chunks(4).all(|lane| lane == first) => {
                        Constant::Uniform(u32::from_le_bytes(*first))
                    }
                    _ => Constant::Bytes(constant_handle),
                }
            }
            _ => Constant::None,
        }
    }
}
