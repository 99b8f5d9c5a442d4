//! Each operation as one x86 instruction, or as a few.

use super::codes::{self, Forms, Need};
use super::{Emitter, based, jump_if, number, r32, r64, vector};
use crate::Isa;
use crate::error::{Error, Result};
use crate::vcode::{Alu, Compare, Inst, Memory, Op, Place, Predicate, Right, Shift, Size, Width};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use iced_x86::{Code as X86, Instruction, MemoryOperand, Register};
use regalloc2::Allocation;

/// The mask register that operations use inside; the allocator knows nothing of it.
const MASK: Register = Register::K1;

/// `vpternlogd` truth table of `a ? b : c`.
const CHOOSE_BITS: u8 = 0xca;

/// The last input of a vector instruction.
#[derive(Clone, Copy)]
enum Last {
    Register(usize),
    Memory(MemoryOperand),
}

impl Last {
    fn need(self) -> Need {
        match self {
            Self::Register(number) => need([number]),
            Self::Memory(memory) if memory.is_broadcast => Need::Evex,
            Self::Memory(_) => Need::Any,
        }
    }
}

/// Whether vector registers are all within reach of VEX.
fn need<const N: usize>(numbers: [usize; N]) -> Need {
    if numbers.iter().all(|number| *number < 16) { Need::Any } else { Need::Evex }
}

fn either(a: Need, b: Need) -> Need {
    if a == Need::Evex { a } else { b }
}

impl Emitter<'_> {
    /// Encodes an instruction other than a branch or a return.
    pub(super) fn inst(&mut self, inst: &Inst, registers: &[Allocation]) -> Result<()> {
        let memory = inst.memory.map(|memory| self.memory(memory, registers)).transpose()?;
        self.operation(inst, registers, memory)?;
        if let Some(Memory { place: Place::Pool(constant), .. }) = inst.memory {
            self.refers_to(constant, 0)?;
        }
        Ok(())
    }

    fn operation(
        &mut self,
        inst: &Inst,
        registers: &[Allocation],
        memory: Option<MemoryOperand>,
    ) -> Result<()> {
        let v = |n: usize| number(registers[n]);
        let last = |n: usize| match memory {
            Some(memory) => Ok(Last::Memory(memory)),
            None => number(registers[n]).map(Last::Register),
        };
        let needed = || memory.ok_or_else(|| Error::Encoding("no memory operand".into()));
        match inst.op {
            Op::Args => Ok(()),
            Op::Jump | Op::Branch(_) | Op::Return => {
                Err(Error::Encoding("a branch in the middle of a block".into()))
            }

            Op::Constant(constant) => self.constant(registers[0], constant),
            Op::Lea(size) => self.lea(size, inst.memory, registers, needed()?),
            Op::Alu(op, size) => {
                let code = match (op, size) {
                    (Alu::Add, Size::B64) => X86::Add_r64_rm64,
                    (Alu::Add, _) => X86::Add_r32_rm32,
                    (Alu::Sub, Size::B64) => X86::Sub_r64_rm64,
                    (Alu::Sub, _) => X86::Sub_r32_rm32,
                    (Alu::And, Size::B64) => X86::And_r64_rm64,
                    (Alu::And, _) => X86::And_r32_rm32,
                    (Alu::Or, Size::B64) => X86::Or_r64_rm64,
                    (Alu::Or, _) => X86::Or_r32_rm32,
                    (Alu::Xor, Size::B64) => X86::Xor_r64_rm64,
                    (Alu::Xor, _) => X86::Xor_r32_rm32,
                    (Alu::Mul, Size::B64) => X86::Imul_r64_rm64,
                    (Alu::Mul, _) => X86::Imul_r32_rm32,
                };
                let [result, b] = [int(size, registers[0])?, int(size, registers[2])?];
                self.put(Instruction::with2(code, result, b))
            }
            Op::AluImmediate(op, size, immediate) => {
                let result = int(size, registers[0])?;
                let code = alu_immediate(op, size, i8::try_from(immediate).is_ok())?;
                self.put(Instruction::with2(code, result, immediate))
            }
            Op::MulImmediate(size, immediate) => {
                let code = match (size, i8::try_from(immediate)) {
                    (Size::B64, Ok(_)) => X86::Imul_r64_rm64_imm8,
                    (Size::B64, Err(_)) => X86::Imul_r64_rm64_imm32,
                    (_, Ok(_)) => X86::Imul_r32_rm32_imm8,
                    (_, Err(_)) => X86::Imul_r32_rm32_imm32,
                };
                let [result, a] = [int(size, registers[0])?, int(size, registers[1])?];
                self.put(Instruction::with3(code, result, a, immediate))
            }
            Op::Shift(op, size) => {
                let code = match (op, size) {
                    (Shift::Left, Size::B64) => X86::VEX_Shlx_r64_rm64_r64,
                    (Shift::Left, _) => X86::VEX_Shlx_r32_rm32_r32,
                    (Shift::Right, Size::B64) => X86::VEX_Shrx_r64_rm64_r64,
                    (Shift::Right, _) => X86::VEX_Shrx_r32_rm32_r32,
                    (Shift::SignedRight, Size::B64) => X86::VEX_Sarx_r64_rm64_r64,
                    (Shift::SignedRight, _) => X86::VEX_Sarx_r32_rm32_r32,
                };
                let [result, a] = [int(size, registers[0])?, int(size, registers[1])?];
                self.put(Instruction::with3(code, result, a, int(size, registers[2])?))
            }
            Op::ShiftImmediate(op, size, count) => {
                let code = match (op, size) {
                    (Shift::Left, Size::B64) => X86::Shl_rm64_imm8,
                    (Shift::Left, _) => X86::Shl_rm32_imm8,
                    (Shift::Right, Size::B64) => X86::Shr_rm64_imm8,
                    (Shift::Right, _) => X86::Shr_rm32_imm8,
                    (Shift::SignedRight, Size::B64) => X86::Sar_rm64_imm8,
                    (Shift::SignedRight, _) => X86::Sar_rm32_imm8,
                };
                self.put(Instruction::with2(code, int(size, registers[0])?, u32::from(count)))
            }
            Op::Negate => self.put(Instruction::with1(X86::Neg_rm64, r64(registers[0])?)),
            Op::Extend { from, to, signed } => {
                let (code, result) = extend(from, to, signed);
                let result = int(result, registers[0])?;
                match memory {
                    Some(memory) => self.put(Instruction::with2(code, result, memory)),
                    None => {
                        let a = int(from, registers[1])?;
                        self.put(Instruction::with2(code, result, a))
                    }
                }
            }
            Op::Store(size) => {
                let code = match size {
                    Size::B8 => X86::Mov_rm8_r8,
                    Size::B16 => X86::Mov_rm16_r16,
                    Size::B32 => X86::Mov_rm32_r32,
                    Size::B64 => X86::Mov_rm64_r64,
                };
                self.put(Instruction::with2(code, needed()?, int(size, registers[0])?))
            }
            Op::SetIf(compare) => {
                self.compare(compare, &registers[1..])?;
                let result = int(Size::B8, registers[0])?;
                self.put(Instruction::with1(set_if(compare.condition), result))
            }
            Op::SelectInteger(compare, size) => {
                self.compare(compare, &registers[3..])?;
                let [result, then] = [int(size, registers[0])?, int(size, registers[2])?];
                self.put(Instruction::with2(move_if(compare.condition, size), result, then))
            }
            Op::LaneToInteger => {
                let code = match need([v(1)?]) {
                    Need::Any => X86::VEX_Vmovd_rm32_xmm,
                    Need::Evex => X86::EVEX_Vmovd_rm32_xmm,
                };
                let lane = vector(Width::Xmm, v(1)?);
                self.put(Instruction::with2(code, r32(registers[0])?, lane))
            }
            Op::IntegerToLane => {
                let code = match need([v(0)?]) {
                    Need::Any => X86::VEX_Vmovd_xmm_rm32,
                    Need::Evex => X86::EVEX_Vmovd_xmm_rm32,
                };
                let lane = vector(Width::Xmm, v(0)?);
                self.put(Instruction::with2(code, lane, r32(registers[1])?))
            }
            Op::Prefetch => self.put(Instruction::with1(X86::Prefetcht0_m8, needed()?)),

            Op::Zero => {
                // The processor knows this form to depend on nothing.
                let code = match need([v(0)?]) {
                    Need::Any => X86::VEX_Vpxor_xmm_xmm_xmmm128,
                    Need::Evex => X86::EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32,
                };
                let register = vector(Width::Xmm, v(0)?);
                self.put(Instruction::with3(code, register, register, register))
            }
            Op::Binary(op, width) => {
                let (forms, immediate) = codes::binary(op);
                // The scalar that `vinsertps` inserts is a register, never memory.
                self.three(&forms, width, v(0)?, v(1)?, last(2)?, immediate)
            }
            Op::Unary(op, width) => {
                let (forms, immediate) = codes::unary(op, memory.is_some());
                let narrow = op == crate::vcode::Unary::Broadcast;
                self.two(&forms, width, v(0)?, last(1)?, immediate, narrow)
            }
            Op::Fma(width) => self.three(&codes::FMA, width, v(0)?, v(2)?, last(3)?, None),
            Op::StoreVector(width) => self.store_vector(width, v(0)?, needed()?),
            Op::StoreNonTemporal(width) => {
                let code = at(&codes::STORE_NON_TEMPORAL, width, need([v(0)?]))?;
                self.put(Instruction::with2(code, needed()?, vector(width, v(0)?)))
            }
            Op::CompareLanes(predicate, width) => match self.isa {
                Isa::Avx2 => {
                    let forms = &codes::COMPARE_LANES;
                    self.three(forms, width, v(0)?, v(1)?, last(2)?, Some(predicate))
                }
                Isa::Avx512 => {
                    self.compare_mask(predicate, width, v(1)?, last(2)?)?;
                    let code = at(&codes::MASK_TO_LANES, width, Need::Evex)?;
                    self.put(Instruction::with2(code, vector(width, v(0)?), MASK))
                }
            },
            Op::CompareBlend(predicate, width) => {
                self.compare_mask(predicate, width, v(3)?, last(4)?)?;
                let code = at(&codes::BLEND_MASK, width, Need::Evex)?;
                let [result, x, y] = [v(0)?, v(1)?, v(2)?].map(|n| vector(width, n));
                self.put(Instruction::with3(code, result, y, x).map(|inst| masked(inst, MASK)))
            }
            Op::BlendLanes(width) => {
                let code = at(&codes::BLEND_LANES, width, Need::Any)?;
                let [result, x, y] = [v(0)?, v(1)?, v(2)?].map(|n| vector(width, n));
                self.put(Instruction::with4(code, result, y, x, vector(width, v(3)?)))
            }
            Op::BlendBits(width) => {
                let y = Last::Register(v(3)?);
                self.three(&codes::BLEND_BITS, width, v(0)?, v(2)?, y, Some(CHOOSE_BITS))
            }
            Op::SelectVector(compare, width) => {
                self.compare(compare, &registers[3..])?;
                let skip = jump_if(compare.condition.complement());
                self.put(Instruction::with_branch(skip, self.position as u64))?;
                let end = self.position;
                self.copy_vector(width, v(0)?, v(2)?)?;
                self.skips.push((end, self.position));
                Ok(())
            }
            Op::Extract128(part, width) => {
                let code = at(&codes::EXTRACT_128, width, need([v(0)?, v(1)?]))?;
                let [result, a] = [vector(Width::Xmm, v(0)?), vector(width, v(1)?)];
                self.put(Instruction::with3(code, result, a, u32::from(part)))
            }
            Op::InsertPart(part, width) => {
                let code = at(&codes::INSERT_128, width, need([v(0)?, v(1)?]))?;
                let [result, a] = [v(0)?, v(1)?].map(|n| vector(width, n));
                self.put(Instruction::with4(code, result, a, needed()?, u32::from(part)))
            }
            Op::StorePart(part, width) => {
                let code = at(&codes::EXTRACT_128, width, need([v(0)?]))?;
                let value = vector(width, v(0)?);
                self.put(Instruction::with3(code, needed()?, value, u32::from(part)))
            }
            Op::InsertLane(lane, width) => {
                self.load_mask(MASK, registers[3], 1 << lane)?;
                let code = at(&codes::BROADCAST_REGISTER, width, Need::Evex)?;
                let [result, scalar] = [vector(width, v(0)?), vector(Width::Xmm, v(2)?)];
                self.put(Instruction::with2(code, result, scalar).map(|inst| masked(inst, MASK)))
            }
            Op::MaskOfCount(table, width) => {
                let [table_end, minus_n] = [r64(registers[1])?, r64(registers[2])?];
                let here = self.rip();
                self.put(Instruction::with2(X86::Lea_r64_m, table_end, here))?;
                self.refers_to(table, width.bytes())?;
                let mask = MemoryOperand::new(table_end, minus_n, 4, 0, 0, false, Register::None);
                self.load_vector(width, v(0)?, mask)
            }
            Op::LoadMasked(width) => {
                let code = at(&codes::LOAD_MASKED, width, Need::Any)?;
                let [result, mask] = [v(0)?, v(1)?].map(|n| vector(width, n));
                self.put(Instruction::with3(code, result, mask, needed()?))
            }
            Op::StoreMasked(width) => {
                let code = at(&codes::STORE_MASKED, width, Need::Any)?;
                let [value, mask] = [v(0)?, v(1)?].map(|n| vector(width, n));
                self.put(Instruction::with3(code, needed()?, mask, value))
            }
            Op::LoadFirst(width) => {
                self.mask_of_count(registers[1], registers[2])?;
                let code = at(&codes::LOAD, width, Need::Evex)?;
                let load = Instruction::with2(code, vector(width, v(0)?), needed()?);
                self.put(load.map(|load| zeroing(masked(load, MASK))))
            }
            Op::StoreFirst(width) => {
                self.mask_of_count(registers[0], registers[2])?;
                let code = at(&codes::STORE, width, Need::Evex)?;
                let store = Instruction::with2(code, needed()?, vector(width, v(1)?));
                self.put(store.map(|store| masked(store, MASK)))
            }
            Op::LoadLanes(width, bits) => {
                let mask = self.mask_of_bits(registers[1], bits)?;
                let code = at(&codes::LOAD, width, Need::Evex)?;
                let load = Instruction::with2(code, vector(width, v(0)?), needed()?);
                self.put(load.map(|load| zeroing(masked(load, mask))))
            }
            Op::StoreLanes(width, bits) => {
                let mask = self.mask_of_bits(registers[0], bits)?;
                let code = at(&codes::STORE, width, Need::Evex)?;
                let store = Instruction::with2(code, needed()?, vector(width, v(1)?));
                self.put(store.map(|store| masked(store, mask)))
            }
        }
    }

    /// A memory operand; its registers are the last ones.
    fn memory(&self, memory: Memory, registers: &[Allocation]) -> Result<MemoryOperand> {
        let address = &registers[registers.len() - memory.place.registers()..];
        let mut operand = match memory.place {
            Place::Base { displacement } => based(r64(address[0])?, displacement.into()),
            Place::Indexed { scale, displacement } => {
                let size = u32::from(displacement != 0);
                let [base, index] = [r64(address[0])?, r64(address[1])?];
                MemoryOperand::new(
                    base,
                    index,
                    scale.into(),
                    displacement.into(),
                    size,
                    false,
                    Register::None,
                )
            }
            Place::Pool(_) => self.rip(),
        };
        operand.is_broadcast = memory.broadcast;
        Ok(operand)
    }

    /// A rip-relative operand that is patched in the end.
    fn rip(&self) -> MemoryOperand {
        MemoryOperand::with_base_displ(Register::RIP, self.position as i64)
    }

    fn constant(&mut self, result: Allocation, constant: i64) -> Result<()> {
        let (wide, narrow) = (r64(result)?, r32(result)?);
        self.put(if constant == 0 {
            Instruction::with2(X86::Xor_r32_rm32, narrow, narrow)
        } else if let Ok(unsigned) = u32::try_from(constant) {
            Instruction::with2(X86::Mov_r32_imm32, narrow, unsigned)
        } else if let Ok(signed) = i32::try_from(constant) {
            Instruction::with2(X86::Mov_rm64_imm32, wide, signed)
        } else {
            Instruction::with2(X86::Mov_r64_imm64, wide, constant)
        })
    }

    /// `lea`, or the addition or copy that it amounts to.
    fn lea(
        &mut self,
        size: Size,
        memory: Option<Memory>,
        registers: &[Allocation],
        operand: MemoryOperand,
    ) -> Result<()> {
        let result = int(size, registers[0])?;
        let (lea, add, copy) = match size {
            Size::B64 => (X86::Lea_r64_m, X86::Add_r64_rm64, X86::Mov_r64_rm64),
            _ => (X86::Lea_r32_m, X86::Add_r32_rm32, X86::Mov_r32_rm32),
        };
        match memory.map(|memory| memory.place) {
            Some(Place::Base { displacement }) if registers[0] == registers[1] => {
                let code = alu_immediate(Alu::Add, size, i8::try_from(displacement).is_ok())?;
                match displacement {
                    0 => Ok(()),
                    _ => self.put(Instruction::with2(code, result, displacement)),
                }
            }
            Some(Place::Base { displacement: 0 }) => {
                self.put(Instruction::with2(copy, result, int(size, registers[1])?))
            }
            Some(Place::Indexed { scale: 1, displacement: 0 })
                if registers[0] == registers[1] || registers[0] == registers[2] =>
            {
                let other = if registers[0] == registers[1] { 2 } else { 1 };
                self.put(Instruction::with2(add, result, int(size, registers[other])?))
            }
            _ => self.put(Instruction::with2(lea, result, operand)),
        }
    }

    /// Compares; the flags then tell the condition.
    pub(super) fn compare(&mut self, compare: Compare, registers: &[Allocation]) -> Result<()> {
        let size = compare.size;
        let left = int(size, registers[0])?;
        match compare.right {
            Right::Register => {
                let code = match size {
                    Size::B8 => X86::Cmp_r8_rm8,
                    Size::B16 => X86::Cmp_r16_rm16,
                    Size::B32 => X86::Cmp_r32_rm32,
                    Size::B64 => X86::Cmp_r64_rm64,
                };
                self.put(Instruction::with2(code, left, int(size, registers[1])?))
            }
            Right::Immediate(0) => {
                // The flags are those of a comparison with zero.
                let code = match size {
                    Size::B8 => X86::Test_rm8_r8,
                    Size::B16 => X86::Test_rm16_r16,
                    Size::B32 => X86::Test_rm32_r32,
                    Size::B64 => X86::Test_rm64_r64,
                };
                self.put(Instruction::with2(code, left, left))
            }
            Right::Immediate(immediate) => {
                let code = match (size, i8::try_from(immediate)) {
                    (Size::B8, _) => X86::Cmp_rm8_imm8,
                    (Size::B16, Ok(_)) => X86::Cmp_rm16_imm8,
                    (Size::B16, Err(_)) => X86::Cmp_rm16_imm16,
                    (Size::B32, Ok(_)) => X86::Cmp_rm32_imm8,
                    (Size::B32, Err(_)) => X86::Cmp_rm32_imm32,
                    (Size::B64, Ok(_)) => X86::Cmp_rm64_imm8,
                    (Size::B64, Err(_)) => X86::Cmp_rm64_imm32,
                };
                self.put(Instruction::with2(code, left, immediate))
            }
        }
    }

    /// `result = op(a, last)`.
    fn three(
        &mut self,
        forms: &Forms,
        width: Width,
        result: usize,
        a: usize,
        last: Last,
        immediate: Option<u8>,
    ) -> Result<()> {
        let code = at(forms, width, either(need([result, a]), last.need()))?;
        let [result, a] = [result, a].map(|number| vector(width, number));
        self.put(match (last, immediate.map(u32::from)) {
            (Last::Register(b), None) => Instruction::with3(code, result, a, vector(width, b)),
            (Last::Register(b), Some(immediate)) => {
                Instruction::with4(code, result, a, vector(width, b), immediate)
            }
            (Last::Memory(b), None) => Instruction::with3(code, result, a, b),
            (Last::Memory(b), Some(immediate)) => Instruction::with4(code, result, a, b, immediate),
        })
    }

    /// `result = op(last)`; a narrow one reads an xmm register.
    fn two(
        &mut self,
        forms: &Forms,
        width: Width,
        result: usize,
        last: Last,
        immediate: Option<u8>,
        narrow: bool,
    ) -> Result<()> {
        let code = at(forms, width, either(need([result]), last.need()))?;
        let result = vector(width, result);
        let from = if narrow { Width::Xmm } else { width };
        self.put(match (last, immediate.map(u32::from)) {
            (Last::Register(a), None) => Instruction::with2(code, result, vector(from, a)),
            (Last::Register(a), Some(immediate)) => {
                Instruction::with3(code, result, vector(from, a), immediate)
            }
            (Last::Memory(a), None) => Instruction::with2(code, result, a),
            (Last::Memory(a), Some(immediate)) => Instruction::with3(code, result, a, immediate),
        })
    }

    pub(super) fn copy_vector(&mut self, width: Width, to: usize, from: usize) -> Result<()> {
        self.two(&codes::COPY, width, to, Last::Register(from), None, false)
    }

    pub(super) fn load_vector(
        &mut self,
        width: Width,
        to: usize,
        from: MemoryOperand,
    ) -> Result<()> {
        self.two(&codes::LOAD, width, to, Last::Memory(from), None, false)
    }

    pub(super) fn store_vector(
        &mut self,
        width: Width,
        from: usize,
        to: MemoryOperand,
    ) -> Result<()> {
        let code = at(&codes::STORE, width, need([from]))?;
        self.put(Instruction::with2(code, to, vector(width, from)))
    }

    /// Compares lanes into the mask register.
    fn compare_mask(
        &mut self,
        predicate: Predicate,
        width: Width,
        a: usize,
        last: Last,
    ) -> Result<()> {
        let code = at(&codes::COMPARE_MASK, width, Need::Evex)?;
        let (a, predicate) = (vector(width, a), u32::from(predicate));
        self.put(match last {
            Last::Register(b) => Instruction::with4(code, MASK, a, vector(width, b), predicate),
            Last::Memory(b) => Instruction::with4(code, MASK, a, b, predicate),
        })
    }

    /// Sets the mask register to constant bits.
    fn load_mask(&mut self, mask: Register, temporary: Allocation, bits: u16) -> Result<()> {
        let temporary = r32(temporary)?;
        self.put(Instruction::with2(X86::Mov_r32_imm32, temporary, u32::from(bits)))?;
        self.put(Instruction::with2(X86::VEX_Kmovw_kr_r32, mask, temporary))
    }

    /// A mask register that holds the bits.
    fn mask_of_bits(&mut self, temporary: Allocation, bits: u16) -> Result<Register> {
        let (mask, is_held) = self.masks.take(bits);
        if !is_held {
            self.load_mask(mask, temporary, bits)?;
        }
        Ok(mask)
    }

    /// Sets the lowest n bits of the mask register.
    fn mask_of_count(&mut self, temporary: Allocation, n: Allocation) -> Result<()> {
        let (ones, n) = (r32(temporary)?, r32(n)?);
        self.put(Instruction::with2(X86::Mov_r32_imm32, ones, u32::MAX))?;
        self.put(Instruction::with3(X86::VEX_Bzhi_r32_rm32_r32, ones, ones, n))?;
        self.put(Instruction::with2(X86::VEX_Kmovw_kr_r32, MASK, ones))
    }
}

fn masked(mut inst: Instruction, mask: Register) -> Instruction {
    inst.set_op_mask(mask);
    inst
}

/// Zeros in the lanes that are masked off.
fn zeroing(mut inst: Instruction) -> Instruction {
    inst.set_zeroing_masking(true);
    inst
}

fn at(forms: &Forms, width: Width, need: Need) -> Result<X86> {
    forms
        .at(width, need)
        .ok_or_else(|| Error::Encoding(format!("{forms:?} has no form for {width:?}, {need:?}")))
}

/// An integer register at a size.
fn int(size: Size, allocation: Allocation) -> Result<Register> {
    let number = number(allocation)? as u32;
    Ok(match size {
        Size::B8 if number < 4 => Register::AL + number,
        Size::B8 => Register::SPL + (number - 4),
        Size::B16 => Register::AX + number,
        Size::B32 => Register::EAX + number,
        Size::B64 => Register::RAX + number,
    })
}

/// Arithmetic with an immediate of 8 or 32 bits.
fn alu_immediate(op: Alu, size: Size, short: bool) -> Result<X86> {
    Ok(match (op, size, short) {
        (Alu::Add, Size::B64, true) => X86::Add_rm64_imm8,
        (Alu::Add, Size::B64, false) => X86::Add_rm64_imm32,
        (Alu::Add, _, true) => X86::Add_rm32_imm8,
        (Alu::Add, _, false) => X86::Add_rm32_imm32,
        (Alu::Sub, Size::B64, true) => X86::Sub_rm64_imm8,
        (Alu::Sub, Size::B64, false) => X86::Sub_rm64_imm32,
        (Alu::Sub, _, true) => X86::Sub_rm32_imm8,
        (Alu::Sub, _, false) => X86::Sub_rm32_imm32,
        (Alu::And, Size::B64, true) => X86::And_rm64_imm8,
        (Alu::And, Size::B64, false) => X86::And_rm64_imm32,
        (Alu::And, _, true) => X86::And_rm32_imm8,
        (Alu::And, _, false) => X86::And_rm32_imm32,
        (Alu::Or, Size::B64, true) => X86::Or_rm64_imm8,
        (Alu::Or, Size::B64, false) => X86::Or_rm64_imm32,
        (Alu::Or, _, true) => X86::Or_rm32_imm8,
        (Alu::Or, _, false) => X86::Or_rm32_imm32,
        (Alu::Xor, Size::B64, true) => X86::Xor_rm64_imm8,
        (Alu::Xor, Size::B64, false) => X86::Xor_rm64_imm32,
        (Alu::Xor, _, true) => X86::Xor_rm32_imm8,
        (Alu::Xor, _, false) => X86::Xor_rm32_imm32,
        (Alu::Mul, ..) => return Err(Error::Encoding("a product tied to its input".into())),
    })
}

/// The instruction that widens from a register or from memory, and the size of its result.
fn extend(from: Size, to: Size, signed: bool) -> (X86, Size) {
    match (from, to, signed) {
        (Size::B8, _, false) => (X86::Movzx_r32_rm8, Size::B32),
        (Size::B16, _, false) => (X86::Movzx_r32_rm16, Size::B32),
        (Size::B32, _, false) | (Size::B32, Size::B32, true) => (X86::Mov_r32_rm32, Size::B32),
        (Size::B8, Size::B64, true) => (X86::Movsx_r64_rm8, Size::B64),
        (Size::B16, Size::B64, true) => (X86::Movsx_r64_rm16, Size::B64),
        (Size::B32, _, true) => (X86::Movsxd_r64_rm32, Size::B64),
        (Size::B8, _, true) => (X86::Movsx_r32_rm8, Size::B32),
        (Size::B16, _, true) => (X86::Movsx_r32_rm16, Size::B32),
        (Size::B64, ..) => (X86::Mov_r64_rm64, Size::B64),
    }
}

fn set_if(condition: IntCC) -> X86 {
    match condition {
        IntCC::Equal => X86::Sete_rm8,
        IntCC::NotEqual => X86::Setne_rm8,
        IntCC::SignedLessThan => X86::Setl_rm8,
        IntCC::SignedGreaterThanOrEqual => X86::Setge_rm8,
        IntCC::SignedGreaterThan => X86::Setg_rm8,
        IntCC::SignedLessThanOrEqual => X86::Setle_rm8,
        IntCC::UnsignedLessThan => X86::Setb_rm8,
        IntCC::UnsignedGreaterThanOrEqual => X86::Setae_rm8,
        IntCC::UnsignedGreaterThan => X86::Seta_rm8,
        IntCC::UnsignedLessThanOrEqual => X86::Setbe_rm8,
    }
}

fn move_if(condition: IntCC, size: Size) -> X86 {
    let (narrow, wide) = match condition {
        IntCC::Equal => (X86::Cmove_r32_rm32, X86::Cmove_r64_rm64),
        IntCC::NotEqual => (X86::Cmovne_r32_rm32, X86::Cmovne_r64_rm64),
        IntCC::SignedLessThan => (X86::Cmovl_r32_rm32, X86::Cmovl_r64_rm64),
        IntCC::SignedGreaterThanOrEqual => (X86::Cmovge_r32_rm32, X86::Cmovge_r64_rm64),
        IntCC::SignedGreaterThan => (X86::Cmovg_r32_rm32, X86::Cmovg_r64_rm64),
        IntCC::SignedLessThanOrEqual => (X86::Cmovle_r32_rm32, X86::Cmovle_r64_rm64),
        IntCC::UnsignedLessThan => (X86::Cmovb_r32_rm32, X86::Cmovb_r64_rm64),
        IntCC::UnsignedGreaterThanOrEqual => (X86::Cmovae_r32_rm32, X86::Cmovae_r64_rm64),
        IntCC::UnsignedGreaterThan => (X86::Cmova_r32_rm32, X86::Cmova_r64_rm64),
        IntCC::UnsignedLessThanOrEqual => (X86::Cmovbe_r32_rm32, X86::Cmovbe_r64_rm64),
    };
    if size == Size::B64 { wide } else { narrow }
}
