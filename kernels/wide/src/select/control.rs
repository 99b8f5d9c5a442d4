//! Function arguments, branches, returns, and the comparisons that steer them.

use super::{Select, define, read};
use crate::cfg;
use crate::error::{Error, Result};
use crate::regalloc::{gpr, int};
use crate::vcode::{Compare, Op, Right, Size};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{self, BlockArg, Function, InstructionData, Opcode, Value};
use cranelift_codegen::isa::CallConv;
use regalloc2::{Operand, RegClass, VReg};

/// Checks that a function has the one ABI that there is.
pub(super) fn check_signature(func: &Function) -> Result<()> {
    let signature = &func.signature;
    let refuse = |found: String, expected| Err(Error::Signature { found, expected });
    if signature.call_conv != CallConv::SystemV {
        let found = format!("the calling convention {}", signature.call_conv);
        return refuse(found, "it must be system_v");
    }
    if signature.params.len() > gpr::ARGUMENTS.len() {
        return refuse(format!("{} parameters", signature.params.len()), "at most 6 are supported");
    }
    if signature.returns.len() > 1 {
        return refuse(format!("{} results", signature.returns.len()), "at most 1 is supported");
    }
    for param in signature.params.iter().chain(&signature.returns) {
        let plain = param.purpose == ir::ArgumentPurpose::Normal
            && param.extension == ir::ArgumentExtension::None;
        if Size::of(param.value_type).is_none() || !plain {
            let found = format!("a parameter or result `{param}`");
            return refuse(found, "they are plain integers of 8, 16, 32 or 64 bits");
        }
    }
    Ok(())
}

impl Select<'_> {
    /// Defines the parameters of the entry block.
    pub(super) fn arguments(&mut self, entry: ir::Block) -> Result<()> {
        let mut operands = Vec::new();
        for (param, number) in self.func.dfg.block_params(entry).iter().zip(gpr::ARGUMENTS) {
            operands.push(Operand::reg_fixed_def(self.register(*param)?, int(number)));
        }
        self.emit(Op::Args, &operands, None);
        Ok(())
    }

    /// Lowers the end of a block. Gives the block arguments for each successor; where `split` says
    /// that an edge has a block of its own, none.
    pub(super) fn terminator(&mut self, inst: ir::Inst, split: &[bool]) -> Result<Vec<Vec<VReg>>> {
        let func = self.func;
        let block = func.layout.inst_block(inst).expect("the block was walked");
        let mut arguments = Vec::new();
        for (call, split) in cfg::branch_calls(func, block).iter().zip(split) {
            arguments.push(if *split { Vec::new() } else { self.block_arguments(call)? });
        }
        match func.dfg.insts[inst] {
            InstructionData::Jump { .. } => self.emit(Op::Jump, &[], None),
            InstructionData::Brif { arg, .. } => {
                let (compare, operands) = self.compare(arg)?;
                self.emit(Op::Branch(compare), &operands, None);
            }
            InstructionData::MultiAry { opcode: Opcode::Return, .. } => {
                let mut operands = Vec::new();
                for value in func.dfg.inst_args(inst) {
                    operands.push(Operand::reg_fixed_use(self.int(*value)?, int(gpr::RAX)));
                }
                self.emit(Op::Return, &operands, None);
            }
            _ => return self.unsupported("blocks end with jump, brif or return"),
        }
        Ok(arguments)
    }

    /// Registers of the arguments that a branch passes.
    pub(super) fn block_arguments(&mut self, call: &ir::BlockCall) -> Result<Vec<VReg>> {
        let mut registers = Vec::new();
        for argument in call.args(&self.func.dfg.value_lists) {
            let BlockArg::Value(value) = argument else {
                return self.unsupported("block arguments are values");
            };
            let integer = Size::of(self.func.dfg.value_type(value)).is_some();
            registers.push(if integer { self.int(value)? } else { self.vector(value)? });
        }
        Ok(registers)
    }

    /// The comparison that tells whether an integer is true, with its register operands.
    ///
    /// An `icmp` is fused if it is beside the root or has no other use; it may then be done anew for
    /// each use.
    pub(super) fn compare(&mut self, value: Value) -> Result<(Compare, Vec<Operand>)> {
        let (value, once) = self.strip_conditions(value);
        if let Some(inst) = self.definition(value)
            && let InstructionData::IntCompare { cond, args, .. } = self.func.dfg.insts[inst]
            && !self.func.dfg.value_type(value).is_vector()
            && (once || self.beside_root(inst))
        {
            return self.compare_integers(cond, args);
        }
        let Some(size) = Size::of(self.func.dfg.value_type(value)) else {
            return self.unsupported("conditions are integers of 8, 16, 32 or 64 bits");
        };
        let register = self.int(value)?;
        let right = Right::Immediate(0);
        Ok((Compare { condition: IntCC::NotEqual, size, right }, vec![read(register)]))
    }

    /// A condition keeps its meaning under widening.
    fn strip_conditions(&self, value: Value) -> (Value, bool) {
        let mut value = self.func.dfg.resolve_aliases(value);
        let mut once = self.demand.once(value);
        while let Some(&InstructionData::Unary { opcode: Opcode::Uextend, arg }) =
            self.definition_data(value)
        {
            value = self.func.dfg.resolve_aliases(arg);
            once &= self.demand.once(value);
        }
        (value, once)
    }

    /// The comparison of two integers, with its register operands.
    pub(super) fn compare_integers(
        &mut self,
        condition: IntCC,
        [left, right]: [Value; 2],
    ) -> Result<(Compare, Vec<Operand>)> {
        let Some(size) = Size::of(self.func.dfg.value_type(left)) else {
            return self.unsupported("compared are integers of 8, 16, 32 or 64 bits");
        };
        let (condition, left, right) = match self.immediate(left, size) {
            Some(_) => (condition.swap_args(), right, left),
            None => (condition, left, right),
        };
        let left = self.int(left)?;
        Ok(match self.immediate(right, size) {
            Some(immediate) => {
                let right = Right::Immediate(immediate);
                (Compare { condition, size, right }, vec![read(left)])
            }
            None => {
                let register = self.int(right)?;
                let right = Right::Register;
                (Compare { condition, size, right }, vec![read(left), read(register)])
            }
        })
    }

    /// The value 1 where a comparison holds, else 0.
    pub(super) fn set_if(
        &mut self,
        inst: ir::Inst,
        compare: Compare,
        operands: &[Operand],
    ) -> Result<()> {
        let mut all = vec![define(self.result(inst)?)];
        all.extend_from_slice(operands);
        self.emit(Op::SetIf(compare), &all, None);
        Ok(())
    }

    /// A new integer register.
    pub(super) fn temporary(&mut self) -> VReg {
        self.new_register(RegClass::Int)
    }
}
