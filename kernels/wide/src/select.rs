//! Instruction selection: from CLIF to machine instructions on virtual registers.
//!
//! Blocks are walked such that uses come before definitions, and each block from its end to its
//! start. An instruction is lowered only if a register was asked to hold its result, or if it has an
//! effect; so what was folded into its users, and what nobody uses, disappears without a pass of its
//! own. The order of what remains is the order of the CLIF: the generator knows best how its
//! multiply-adds should be interleaved.
//!
//! | Folded | Into | If |
//! |---|---|---|
//! | load, splat of a load | a vector operand | its only use, in the same block, no effect between |
//! | float and vector constants | a vector operand, rip-relative | always |
//! | integer constants | an immediate | they fit |
//! | additions of constants, one indexed addition | an address | see [`address`] |
//! | comparisons | branches and selects | same block, or only use |
//! | bit casts, truncations, lane 0 | nothing: they name the same register | always |
//!
//! A zero vector is made anew at each use, so an accumulator that starts from it needs no copy; a
//! multiply-add writes the register of its accumulator, so a loop that carries accumulators in
//! block parameters needs no moves.

mod address;
mod callees;
mod control;
mod demand;
mod integer;
mod intrinsic;
mod operand;
mod values;
mod vector;

use crate::Isa;
use crate::cfg::{self, Node, Order};
use crate::error::{Error, Result};
use crate::vcode::{BlockData, BlockKind, Inst, Memory, Op, VCode, Width};
use callees::Callees;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{self, Function, InstructionData, Opcode, Type, Value};
use demand::Demand;
use regalloc2::{Block, Operand, OperandConstraint, OperandKind, OperandPos, RegClass, VReg};
use std::ops::Range;
use values::{Known, Values};

/// Selects instructions for a function, in the memory of code that is no longer needed.
pub(crate) fn select(func: &Function, isa: Isa, memory: VCode) -> Result<VCode> {
    control::check_signature(func)?;
    let order = Order::of(func)?;
    let callees = Callees::of(func);
    let demand = Demand::of(func, &order, &callees);
    let mut select = Select {
        func,
        isa,
        values: Values::of(func, &order, &demand),
        demand,
        callees,
        registers: SecondaryMap::new(),
        vcode: memory.recycled(),
        forward: Vec::new(),
        backward: Vec::with_capacity(func.dfg.num_insts()),
        root: None,
    };
    select.run(&order)?;
    Ok(select.vcode)
}

struct Select<'f> {
    func: &'f Function,
    isa: Isa,
    demand: Demand,
    callees: Callees,
    values: Values,
    /// Registers that were asked for.
    registers: SecondaryMap<Value, Option<VReg>>,
    vcode: VCode,
    /// Machine instructions of the CLIF instruction being lowered, in order.
    forward: Vec<Inst>,
    /// Those of the blocks lowered so far, each block's from its end to its start.
    backward: Vec<Inst>,
    /// The CLIF instruction being lowered: where folded loads will take place.
    root: Option<ir::Inst>,
}

/// Machine instructions of a block, and the block arguments for each successor.
#[derive(Default)]
struct Lowered {
    /// Its instructions among those of all blocks, the last one first.
    backward: Range<usize>,
    params: Vec<VReg>,
    arguments: Vec<Vec<VReg>>,
}

impl Select<'_> {
    fn run(&mut self, order: &Order) -> Result<()> {
        let mut lowered: Vec<Lowered> = order.nodes.iter().map(|_| Lowered::default()).collect();
        for &position in &order.uses_first {
            lowered[position] = match order.nodes[position] {
                Node::Body(block) => {
                    let split = order.successors[position]
                        .iter()
                        .map(|successor| matches!(order.nodes[*successor], Node::Edge { .. }))
                        .collect::<Vec<_>>();
                    self.block(block, &split)?
                }
                Node::Edge { from, successor } => self.edge(from, successor)?,
            };
        }

        let predecessors = predecessors(&order.successors);
        let blocks = lowered.into_iter().zip(&order.nodes).zip(&order.successors).zip(predecessors);
        for (((lowered, node), successors), predecessors) in blocks {
            let start = self.vcode.insts.len();
            self.vcode.insts.extend(self.backward[lowered.backward].iter().rev());
            self.vcode.blocks.push(BlockData {
                kind: match node {
                    Node::Body(_) => BlockKind::Body,
                    Node::Edge { .. } => BlockKind::Edge,
                },
                insts: start..self.vcode.insts.len(),
                params: lowered.params,
                successors: successors.iter().map(|n| Block::new(*n)).collect(),
                predecessors,
                arguments: lowered.arguments,
            });
        }
        Ok(())
    }

    /// Lowers a block, backwards. `split` tells which of its out-edges have a block of their own,
    /// which then passes the arguments.
    fn block(&mut self, block: ir::Block, split: &[bool]) -> Result<Lowered> {
        let func = self.func;
        let mut lowered = Lowered::default();
        let start = self.backward.len();
        let mut insts = func.layout.block_insts(block).rev();
        let Some(terminator) = insts.next() else {
            return Err(Error::ControlFlow(format!("{block} is empty")));
        };
        self.root = Some(terminator);
        lowered.arguments = self.terminator(terminator, split)?;
        self.backward.extend(self.forward.drain(..).rev());
        for inst in insts {
            self.root = Some(inst);
            self.check_byte_order(inst)?;
            let mut results = func.dfg.inst_results(inst).iter();
            if self.demand.has_effect(inst) || results.any(|r| self.registers[*r].is_some()) {
                self.lower(inst)?;
                self.backward.extend(self.forward.drain(..).rev());
            }
        }
        if func.layout.entry_block() == Some(block) {
            self.arguments(block)?;
            self.backward.append(&mut self.forward);
        } else {
            let params = func.dfg.block_params(block).iter();
            lowered.params = params.map(|v| self.register(*v)).collect::<Result<_>>()?;
        }
        lowered.backward = start..self.backward.len();
        Ok(lowered)
    }

    /// Refuses what is explicitly big-endian, also where it would be folded into its user.
    fn check_byte_order(&self, inst: ir::Inst) -> Result<()> {
        let flags = self.func.dfg.insts[inst].memflags_data(&self.func.dfg);
        match flags.and_then(|flags| flags.explicit_endianness()) {
            Some(ir::Endianness::Big) => self.unsupported("memory is little-endian"),
            _ => Ok(()),
        }
    }

    /// Lowers the block of a split edge: it passes the arguments on.
    fn edge(&mut self, from: ir::Block, successor: usize) -> Result<Lowered> {
        self.root = self.func.layout.last_inst(from);
        let call = cfg::branch_calls(self.func, from)[successor];
        let arguments = vec![self.block_arguments(&call)?];
        self.emit(Op::Jump, &[], None);
        let start = self.backward.len();
        self.backward.extend(self.forward.drain(..).rev());
        let backward = start..self.backward.len();
        Ok(Lowered { backward, params: Vec::new(), arguments })
    }

    /// Lowers an instruction whose result is wanted, or which has an effect.
    fn lower(&mut self, inst: ir::Inst) -> Result<()> {
        match self.func.dfg.insts[inst] {
            InstructionData::Call { func_ref, .. } => self.call(inst, func_ref),
            InstructionData::Load { opcode, arg, offset, .. } => {
                self.load(inst, opcode, arg, offset.into())
            }
            InstructionData::Store { opcode, args, offset, .. } => {
                self.store(inst, opcode, args, offset.into())
            }
            InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. } => {
                self.bitcast(inst, arg)
            }
            ref data => {
                let opcode = data.opcode();
                if self.func.dfg.inst_results(inst).len() != 1 {
                    return self.unsupported("not in the supported subset");
                }
                let args = self.func.dfg.inst_args(inst);
                if self.func.dfg.ctrl_typevar(inst).is_int() {
                    self.integer(inst, opcode, args)
                } else {
                    self.vector_inst(inst, opcode, args)
                }
            }
        }
    }

    /// Appends a machine instruction. The registers of the source, if it is one, come last.
    fn emit(&mut self, op: Op, operands: &[Operand], source: Option<Source>) {
        let (memory, registers) = match source {
            Some(Source::Register(register)) => (None, [Some(register), None]),
            Some(Source::Memory(memory, registers)) => (Some(memory), registers),
            None => (None, [None; 2]),
        };
        let last = registers.into_iter().flatten().map(Operand::reg_use);
        let inst = self.vcode.inst(op, operands.iter().copied().chain(last), memory);
        self.forward.push(inst);
    }

    fn new_register(&mut self, class: RegClass) -> VReg {
        let register = VReg::new(self.vcode.virtual_registers, class);
        self.vcode.virtual_registers += 1;
        register
    }

    /// The register of a block parameter or of an instruction's result.
    fn register(&mut self, value: Value) -> Result<VReg> {
        if let Some(register) = self.registers[value] {
            return Ok(register);
        }
        let ty = self.func.dfg.value_type(value);
        let class = if crate::vcode::Size::of(ty).is_some() {
            RegClass::Int
        } else {
            self.width(ty)?;
            RegClass::Float
        };
        let register = self.new_register(class);
        self.registers[value] = Some(register);
        Ok(register)
    }

    /// The register of the first result of an instruction.
    fn result(&mut self, inst: ir::Inst) -> Result<VReg> {
        self.register(self.func.dfg.first_result(inst))
    }

    /// The type of the first result of an instruction.
    fn result_type(&self, inst: ir::Inst) -> Type {
        self.func.dfg.value_type(self.func.dfg.first_result(inst))
    }

    /// The width of a type that the instruction set has registers for.
    fn width(&mut self, ty: Type) -> Result<Width> {
        match Width::of(ty) {
            Some(width) if width.lanes() <= self.isa.max_lanes() as usize => {
                self.vcode.widest = self.vcode.widest.max(Some(width));
                Ok(width)
            }
            _ => Err(Error::Type { instruction: self.root_text(), ty, isa: self.isa }),
        }
    }

    fn root_text(&self) -> String {
        let display = |inst| self.func.dfg.display_inst(inst).to_string();
        self.root.map(display).unwrap_or_default()
    }

    /// The error of a root instruction that is not supported.
    fn unsupported<T>(&self, reason: &'static str) -> Result<T> {
        Err(Error::Instruction { instruction: self.root_text(), reason })
    }

    /// The instruction that defines a value.
    fn definition(&self, value: Value) -> Option<ir::Inst> {
        self.known(value).definition.expand()
    }

    fn known(&self, value: Value) -> Known {
        self.values.get(self.func, value)
    }

    /// The instruction that defines a value, with its data.
    fn definition_data(&self, value: Value) -> Option<&InstructionData> {
        self.definition(value).map(|inst| &self.func.dfg.insts[inst])
    }

    /// Whether an instruction is in the block of the root.
    fn beside_root(&self, inst: ir::Inst) -> bool {
        let block = |inst| self.func.layout.inst_block(inst);
        self.root.is_some_and(|root| block(root) == block(inst))
    }
}

fn predecessors(successors: &[Vec<usize>]) -> Vec<Vec<Block>> {
    let mut predecessors = vec![Vec::new(); successors.len()];
    for (position, successors) in successors.iter().enumerate() {
        for successor in successors {
            predecessors[*successor].push(Block::new(position));
        }
    }
    predecessors
}

/// The last input of an operation: a register, or a memory operand with the registers of its address.
#[derive(Clone, Copy, Debug)]
enum Source {
    Register(VReg),
    Memory(Memory, [Option<VReg>; 2]),
}

/// A result that takes the register of an operand, by the operand's index.
fn reuse(register: VReg, operand: usize) -> Operand {
    Operand::new(register, OperandConstraint::Reuse(operand), OperandKind::Def, OperandPos::Late)
}

fn define(register: VReg) -> Operand {
    Operand::reg_def(register)
}

fn read(register: VReg) -> Operand {
    Operand::reg_use(register)
}
