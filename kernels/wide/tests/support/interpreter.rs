//! The oracle: CLIF executed lane by lane, with scalar arithmetic of Rust.
//!
//! A value is the bits of its lanes; a scalar has one lane. Only what the tests generate is known.

use clif_wide::intrinsics::Intrinsic;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, ExternalName, Function, Inst, InstructionData, Opcode, Type, Value,
    types,
};
use std::collections::HashMap;

/// Bytes at an address; accesses beyond them panic.
pub(crate) struct Memory {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Memory {
    fn read(&self, address: u64, bits: u32) -> u64 {
        let start = (address - self.base) as usize;
        let bytes = &self.bytes[start..start + bits as usize / 8];
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn write(&mut self, address: u64, bits: u32, value: u64) {
        let start = (address - self.base) as usize;
        let bytes = bits as usize / 8;
        self.bytes[start..start + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
}

type Lanes = Vec<u64>;

struct Interpreter<'f> {
    func: &'f Function,
    values: HashMap<Value, Lanes>,
    memory: &'f mut Memory,
    nan: bool,
}

/// What a call gave.
pub(crate) struct Outcome {
    /// The result, if the function has one.
    pub(crate) result: Option<u64>,
    /// Whether a NaN was computed. Its bits are not specified, so neither is what follows from it.
    pub(crate) nan: bool,
}

/// Calls a function.
pub(crate) fn run(func: &Function, args: &[u64], memory: &mut Memory) -> Outcome {
    let mut interpreter = Interpreter { func, values: HashMap::new(), memory, nan: false };
    let mut block = func.layout.entry_block().expect("an entry");
    let mut args: Vec<Lanes> = args.iter().map(|arg| vec![*arg]).collect();
    loop {
        for (param, arg) in func.dfg.block_params(block).iter().zip(args) {
            interpreter.values.insert(*param, arg);
        }
        match interpreter.block(block) {
            Next::Block(next, next_args) => (block, args) = (next, next_args),
            Next::Return(result) => return Outcome { result, nan: interpreter.nan },
        }
    }
}

enum Next {
    Block(Block, Vec<Lanes>),
    Return(Option<u64>),
}

fn signed(value: u64, bits: u32) -> i64 {
    ((value << (64 - bits)) as i64) >> (64 - bits)
}

fn truncated(value: u64, bits: u32) -> u64 {
    value << (64 - bits) >> (64 - bits)
}

fn float(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn bits(float: f32) -> u64 {
    u64::from(float.to_bits())
}

fn compare_integers(cc: IntCC, a: u64, b: u64, bits: u32) -> bool {
    let (x, y) = (signed(a, bits), signed(b, bits));
    match cc {
        IntCC::Equal => a == b,
        IntCC::NotEqual => a != b,
        IntCC::SignedLessThan => x < y,
        IntCC::SignedGreaterThanOrEqual => x >= y,
        IntCC::SignedGreaterThan => x > y,
        IntCC::SignedLessThanOrEqual => x <= y,
        IntCC::UnsignedLessThan => a < b,
        IntCC::UnsignedGreaterThanOrEqual => a >= b,
        IntCC::UnsignedGreaterThan => a > b,
        IntCC::UnsignedLessThanOrEqual => a <= b,
    }
}

fn compare_floats(cc: FloatCC, a: f32, b: f32) -> bool {
    let unordered = a.is_nan() || b.is_nan();
    match cc {
        FloatCC::Ordered => !unordered,
        FloatCC::Unordered => unordered,
        FloatCC::Equal => a == b,
        FloatCC::NotEqual => a != b,
        FloatCC::OrderedNotEqual => !unordered && a != b,
        FloatCC::UnorderedOrEqual => unordered || a == b,
        FloatCC::LessThan => a < b,
        FloatCC::LessThanOrEqual => a <= b,
        FloatCC::GreaterThan => a > b,
        FloatCC::GreaterThanOrEqual => a >= b,
        FloatCC::UnorderedOrLessThan => unordered || a < b,
        FloatCC::UnorderedOrLessThanOrEqual => unordered || a <= b,
        FloatCC::UnorderedOrGreaterThan => unordered || a > b,
        FloatCC::UnorderedOrGreaterThanOrEqual => unordered || a >= b,
    }
}

impl Interpreter<'_> {
    fn get(&self, value: Value) -> &Lanes {
        &self.values[&self.func.dfg.resolve_aliases(value)]
    }

    fn scalar(&self, value: Value) -> u64 {
        self.get(value)[0]
    }

    fn ty(&self, value: Value) -> Type {
        self.func.dfg.value_type(value)
    }

    fn block(&mut self, block: Block) -> Next {
        let func = self.func;
        for inst in func.layout.block_insts(block) {
            match &func.dfg.insts[inst] {
                InstructionData::Jump { destination, .. } => return self.branch(destination),
                InstructionData::Brif { arg, blocks, .. } => {
                    return self.branch(&blocks[usize::from(self.scalar(*arg) == 0)]);
                }
                InstructionData::MultiAry { opcode: Opcode::Return, .. } => {
                    let result = func.dfg.inst_args(inst).first();
                    return Next::Return(result.map(|value| self.scalar(*value)));
                }
                _ => {
                    if let Some(lanes) = self.inst(inst) {
                        let result = func.dfg.first_result(inst);
                        let ty = self.ty(result);
                        assert_eq!(lanes.len(), ty.lane_count() as usize, "{inst} {ty}");
                        let cut = |lane: u64| truncated(lane, ty.lane_bits());
                        let lanes: Lanes = lanes.into_iter().map(cut).collect();
                        // Masks are cast to floats, but not computed with.
                        let cast = func.dfg.insts[inst].opcode() == Opcode::Bitcast;
                        if ty.lane_type() == types::F32 && !cast {
                            self.nan |= lanes.iter().any(|lane| float(*lane).is_nan());
                        }
                        self.values.insert(result, lanes);
                    }
                }
            }
        }
        panic!("{block} has no end");
    }

    fn branch(&self, call: &BlockCall) -> Next {
        let pool = &self.func.dfg.value_lists;
        let args = call.args(pool).map(|arg| match arg {
            BlockArg::Value(value) => self.get(value).clone(),
            other => panic!("{other:?}"),
        });
        Next::Block(call.block(pool), args.collect())
    }

    fn load(&self, ty: Type, address: u64) -> Lanes {
        let bits = ty.lane_bits();
        let lane = |n| address + u64::from(n * bits / 8);
        (0..ty.lane_count()).map(|n| self.memory.read(lane(n), bits)).collect()
    }

    fn store(&mut self, bits: u32, address: u64, lanes: &[u64]) {
        for (n, lane) in lanes.iter().enumerate() {
            self.memory.write(address + n as u64 * u64::from(bits / 8), bits, *lane);
        }
    }

    /// The result of an instruction.
    fn inst(&mut self, inst: Inst) -> Option<Lanes> {
        let func = self.func;
        let data = &func.dfg.insts[inst];
        let opcode = data.opcode();
        let args = func.dfg.inst_args(inst);
        let lanes: Vec<Lanes> = args.iter().map(|value| self.get(*value).clone()).collect();
        let operand = args.first().map(|value| self.ty(*value));
        let operand_bits = operand.map_or(0, Type::lane_bits);
        let result = func.dfg.inst_results(inst).first().map(|value| self.ty(*value));
        let count = result.map_or(0, |ty| ty.lane_count() as usize);
        let each = |f: &dyn Fn(usize) -> u64| Some((0..count).map(f).collect::<Lanes>());
        match *data {
            InstructionData::UnaryImm { imm, .. } => Some(vec![imm.bits() as u64]),
            InstructionData::UnaryIeee32 { imm, .. } => Some(vec![u64::from(imm.bits())]),
            InstructionData::UnaryConst { constant_handle, .. } => {
                let bytes = func.dfg.constants.get(constant_handle).as_slice();
                let lane = |b: &[u8]| u64::from(u32::from_le_bytes(b.try_into().expect("4 bytes")));
                Some(bytes.chunks(4).map(lane).collect())
            }
            InstructionData::Load { opcode, offset, .. } => {
                let address = lanes[0][0].wrapping_add(i64::from(i32::from(offset)) as u64);
                let ty = result.expect("a load has a result");
                let read = |bits| self.memory.read(address, bits);
                Some(match opcode {
                    Opcode::Load => self.load(ty, address),
                    Opcode::Uload8 => vec![read(8)],
                    Opcode::Uload16 => vec![read(16)],
                    Opcode::Uload32 => vec![read(32)],
                    Opcode::Sload8 => vec![signed(read(8), 8) as u64],
                    Opcode::Sload16 => vec![signed(read(16), 16) as u64],
                    Opcode::Sload32 => vec![signed(read(32), 32) as u64],
                    other => panic!("{other}"),
                })
            }
            InstructionData::Store { opcode, offset, .. } => {
                let address = lanes[1][0].wrapping_add(i64::from(i32::from(offset)) as u64);
                let bits = match opcode {
                    Opcode::Store => operand_bits,
                    Opcode::Istore8 => 8,
                    Opcode::Istore16 => 16,
                    Opcode::Istore32 => 32,
                    other => panic!("{other}"),
                };
                self.store(bits, address, &lanes[0]);
                None
            }
            InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, .. } => {
                let to = result.expect("a bitcast has a result").lane_bits() as usize / 8;
                let from = operand_bits as usize / 8;
                let bytes: Vec<u8> =
                    lanes[0].iter().flat_map(|lane| lane.to_le_bytes()[..from].to_vec()).collect();
                let lane = |b: &[u8]| b.iter().rev().fold(0, |v, byte| v << 8 | u64::from(*byte));
                Some(bytes.chunks(to).map(lane).collect())
            }
            InstructionData::Shuffle { imm, .. } => {
                let mask = func.dfg.immediates.get(imm).expect("a mask").as_slice();
                let both = lanes.concat();
                Some(mask.iter().map(|n| both[usize::from(*n)]).collect())
            }
            InstructionData::BinaryImm8 { imm, .. } => Some(vec![lanes[0][usize::from(imm)]]),
            InstructionData::TernaryImm8 { imm, .. } => {
                let mut vector = lanes[0].clone();
                vector[usize::from(imm)] = lanes[1][0];
                Some(vector)
            }
            InstructionData::IntCompare { cond, .. } => {
                let holds = compare_integers(cond, lanes[0][0], lanes[1][0], operand_bits);
                Some(vec![u64::from(holds)])
            }
            InstructionData::FloatCompare { cond, .. } => {
                let yes = if operand.is_some_and(Type::is_vector) { u64::MAX } else { 1 };
                each(&|n| {
                    if compare_floats(cond, float(lanes[0][n]), float(lanes[1][n])) {
                        yes
                    } else {
                        0
                    }
                })
            }
            InstructionData::Call { func_ref, .. } => {
                let ExternalName::User(name) = func.dfg.ext_funcs[func_ref].name else {
                    panic!("{func_ref}");
                };
                let name = &func.params.user_named_funcs()[name];
                let intrinsic = Intrinsic::from_name(name).expect("an intrinsic");
                self.intrinsic(intrinsic, count, &lanes)
            }
            _ => {
                let at = |arg: usize, n: usize| lanes[arg][n];
                let [x, y, z] = [0, 1, 2].map(|arg| move |n: usize| float(at(arg, n)));
                let w = operand_bits;
                let amount = |n: usize| {
                    let count = if lanes[1].len() == 1 { at(1, 0) } else { at(1, n) };
                    (count % u64::from(w.max(1))) as u32
                };
                each(&|n| match opcode {
                    Opcode::Fadd => bits(x(n) + y(n)),
                    Opcode::Fsub => bits(x(n) - y(n)),
                    Opcode::Fmul => bits(x(n) * y(n)),
                    Opcode::Fdiv => bits(x(n) / y(n)),
                    Opcode::Sqrt => bits(x(n).sqrt()),
                    Opcode::Fneg => at(0, n) ^ 1 << 31,
                    Opcode::Fabs => at(0, n) & !(1 << 31),
                    Opcode::Fma => bits(x(n).mul_add(y(n), z(n))),
                    Opcode::Splat => at(0, 0),
                    Opcode::Bitselect => at(0, n) & at(1, n) | !at(0, n) & at(2, n),
                    Opcode::Select => at(if at(0, 0) != 0 { 1 } else { 2 }, n),
                    Opcode::Iadd => at(0, n).wrapping_add(at(1, n)),
                    Opcode::Isub => at(0, n).wrapping_sub(at(1, n)),
                    Opcode::Imul => at(0, n).wrapping_mul(at(1, n)),
                    Opcode::Band => at(0, n) & at(1, n),
                    Opcode::Bor => at(0, n) | at(1, n),
                    Opcode::Bxor => at(0, n) ^ at(1, n),
                    Opcode::Ishl => at(0, n) << amount(n),
                    Opcode::Ushr => at(0, n) >> amount(n),
                    Opcode::Sshr => (signed(at(0, n), w) >> amount(n)) as u64,
                    Opcode::Uextend | Opcode::Ireduce => at(0, n),
                    Opcode::Sextend => signed(at(0, n), w) as u64,
                    other => panic!("the oracle does not know {other}"),
                })
            }
        }
    }

    fn intrinsic(&mut self, intrinsic: Intrinsic, count: usize, args: &[Lanes]) -> Option<Lanes> {
        let both = || args.concat();
        // `from` gives the position in a followed by b, from the lane in its group of four.
        let in_lanes = |from: &dyn Fn(usize) -> (usize, usize)| {
            let lane = |n: usize| {
                let (arg, position) = from(n % 4);
                args[arg][n / 4 * 4 + position]
            };
            Some((0..count).map(lane).collect())
        };
        let two_bits = |immediate: u8, n: usize| usize::from(immediate >> (2 * n) & 3);
        match intrinsic {
            Intrinsic::UnpackLow32 => in_lanes(&|n| (n % 2, n / 2)),
            Intrinsic::UnpackHigh32 => in_lanes(&|n| (n % 2, 2 + n / 2)),
            Intrinsic::UnpackLow64 => in_lanes(&|n| (n / 2, n % 2)),
            Intrinsic::UnpackHigh64 => in_lanes(&|n| (n / 2, 2 + n % 2)),
            Intrinsic::Shuffle32(i) => in_lanes(&|n| (n / 2, two_bits(i, n))),
            Intrinsic::Permute32 => {
                let index = |n: usize| args[0][args[1][n] as usize % count];
                Some((0..count).map(index).collect())
            }
            Intrinsic::Permute64(i) => {
                let from = |n: usize| n / 8 * 8 + 2 * two_bits(i, n % 8 / 2) + n % 2;
                Some((0..count).map(|n| args[0][from(n)]).collect())
            }
            Intrinsic::Swap128(i) if count == 16 => {
                let from = |n: usize| args[n / 8][4 * two_bits(i, n / 4) + n % 4];
                Some((0..count).map(from).collect())
            }
            Intrinsic::Swap128(i) => {
                let half = |n: usize| i >> (4 * (n / 4)) & 0xf;
                let from = |n: usize| match half(n) {
                    control if control & 8 != 0 => 0,
                    control => both()[4 * usize::from(control & 3) + n % 4],
                };
                Some((0..count).map(from).collect())
            }
            Intrinsic::Even => Some(both().into_iter().step_by(2).collect()),
            Intrinsic::Odd => Some(both().into_iter().skip(1).step_by(2).collect()),
            Intrinsic::LoadFirst => {
                let lane = |n| match n < args[1][0] {
                    true => self.memory.read(args[0][0] + 4 * n, 32),
                    false => 0,
                };
                Some((0..count as u64).map(lane).collect())
            }
            Intrinsic::StoreFirst => {
                let first = &args[0][..args[2][0] as usize];
                self.store(32, args[1][0], first);
                None
            }
            Intrinsic::LoadLanes(mask) => {
                let lane = |n| match mask >> n & 1 {
                    1 => self.memory.read(args[0][0] + 4 * n, 32),
                    _ => 0,
                };
                Some((0..count as u64).map(lane).collect())
            }
            Intrinsic::StoreLanes(mask) => {
                for (n, lane) in args[0].iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1) {
                    self.store(32, args[1][0] + 4 * n as u64, &[*lane]);
                }
                None
            }
            Intrinsic::LoadParts => {
                let lane = |n: usize| self.memory.read(args[n / 4][0] + 4 * (n as u64 % 4), 32);
                Some((0..count).map(lane).collect())
            }
            Intrinsic::StoreParts => {
                for (part, pointer) in args[0].chunks(4).zip(&args[1..]) {
                    self.store(32, pointer[0], part);
                }
                None
            }
            Intrinsic::Prefetch => None,
            Intrinsic::StoreNonTemporal => {
                assert!(args[1][0].is_multiple_of(4 * args[0].len() as u64), "not aligned");
                self.store(32, args[1][0], &args[0]);
                None
            }
            other => panic!("the oracle does not know {other:?}"),
        }
    }
}
