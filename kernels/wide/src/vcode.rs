//! The machine code before it has registers: x86 operations on virtual registers.
//!
//! An [`Inst`] is an [`Op`], its register operands, and maybe a memory operand. Each operation fixes
//! the order of its operands: the result if any, then the inputs; the registers of the memory
//! operand's address always come last. Where an input may be in memory, the memory operand takes
//! the place of the last input.
//!
//! ```text
//! Op::Fma(Zmm)   operands [v9 = reuse 1, v3, v4, v0]   memory [base + 64]{1to16}
//!                          |             |   |   `- address     vfmadd231ps v9, v4, [v0 + 64]{1to16}
//!                          result        |   multiplicand
//!                                        accumulator
//! ```

use cranelift_codegen::ir::Type;
use cranelift_codegen::ir::condcodes::IntCC;
use regalloc2::{Block, Operand, VReg};

/// How much of a vector register an operation works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Width {
    /// The lowest 32 bits: one f32.
    Scalar,
    /// 128 bits.
    Xmm,
    /// 256 bits.
    Ymm,
    /// 512 bits.
    Zmm,
}

impl Width {
    /// The width of a type that lives in vector registers: f32, 32-bit lanes, or the 16 bytes that CLIF
    /// shuffles.
    pub(crate) fn of(ty: Type) -> Option<Self> {
        if ty == cranelift_codegen::ir::types::F32 {
            return Some(Self::Scalar);
        }
        let bytes = ty == cranelift_codegen::ir::types::I8X16;
        if !ty.is_vector() || (ty.lane_bits() != 32 && !bytes) {
            return None;
        }
        match ty.bits() {
            128 => Some(Self::Xmm),
            256 => Some(Self::Ymm),
            512 => Some(Self::Zmm),
            _ => None,
        }
    }

    /// Bytes in memory.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Scalar => 4,
            Self::Xmm => 16,
            Self::Ymm => 32,
            Self::Zmm => 64,
        }
    }

    /// 32-bit lanes.
    pub(crate) fn lanes(self) -> usize {
        self.bytes() / 4
    }

    /// The whole register that holds a value of this width: what bitwise operations work on.
    pub(crate) fn whole(self) -> Self {
        self.max(Self::Xmm)
    }
}

/// How much of an integer register an operation works on. Bits above are undefined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// 8 bits.
    B8,
    /// 16 bits.
    B16,
    /// 32 bits.
    B32,
    /// 64 bits.
    B64,
}

impl Size {
    /// The size of an integer type.
    pub(crate) fn of(ty: Type) -> Option<Self> {
        match ty {
            cranelift_codegen::ir::types::I8 => Some(Self::B8),
            cranelift_codegen::ir::types::I16 => Some(Self::B16),
            cranelift_codegen::ir::types::I32 => Some(Self::B32),
            cranelift_codegen::ir::types::I64 => Some(Self::B64),
            _ => None,
        }
    }

    /// Number of bits.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::B8 => 8,
            Self::B16 => 16,
            Self::B32 => 32,
            Self::B64 => 64,
        }
    }

    /// The size that arithmetic is done in: x86 has no cheap 8- and 16-bit forms.
    pub(crate) fn arithmetic(self) -> Self {
        self.max(Self::B32)
    }
}

/// Two-operand integer arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alu {
    Add,
    Sub,
    And,
    Or,
    Xor,
    Mul,
}

/// Integer shifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Left,
    Right,
    SignedRight,
}

/// A comparison of two integers, fused with what consumes the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compare {
    pub(crate) condition: IntCC,
    pub(crate) size: Size,
    pub(crate) right: Right,
}

/// Right side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Two register operands.
    Register,
    /// One register operand.
    Immediate(i32),
}

/// Vector operations `result = op(a, b)`, where `b` may be in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Sqrt,
    And,
    AndNot,
    Or,
    Xor,
    IntAdd,
    IntSub,
    UnpackLow32,
    UnpackHigh32,
    UnpackLow64,
    UnpackHigh64,
    /// `vshufps`.
    Shuffle32(u8),
    /// `vperm2f128` or `vshuff32x4`.
    Swap128(u8),
    /// `a` holds the indices of 32-bit lanes, `b` the data (`vpermps`).
    Permute32,
    /// `a` holds the data, `b` the indices of 32-bit lanes (`vpermilps`), 128 bits only.
    PermuteInLane32,
    /// `a` holds the indices of 64-bit lanes, `b` the data (`vpermpd`), 512 bits only.
    Permute64,
    /// Lanes of `a`, those in the bit mask from `b` (`vblendps`).
    BlendImmediate(u8),
    /// `vinsertps`.
    Insert(u8),
}

/// Vector operations `result = op(a)`, where `a` may be in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    /// A load.
    Move,
    /// All lanes from lane 0 of an xmm register or from a 32-bit memory operand.
    Broadcast,
    Sqrt,
    ShiftLeft(u8),
    ShiftRight(u8),
    SignedShiftRight(u8),
    /// `vpermpd` with an immediate.
    Permute64(u8),
    /// `vpermilps` with an immediate, 128 bits only.
    PermuteInLane32(u8),
}

/// `vcmpps` predicate.
pub(crate) type Predicate = u8;

/// What an instruction does. The comments give the operands in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    /// Defines the arguments in their registers; emits nothing. `[result…]`
    Args,
    /// `[value in rax]` or none.
    Return,
    /// Ends a block with one successor.
    Jump,
    /// Ends a block with two successors, the first taken if the comparison holds. `[compared…]`
    Branch(Compare),

    /// `[result]`
    Constant(i64),
    /// `[result, address…]`
    Lea(Size),
    /// `[result = reuse 1, a, b]`
    Alu(Alu, Size),
    /// `[result = reuse 1, a]`
    AluImmediate(Alu, Size, i32),
    /// `[result, a]`
    MulImmediate(Size, i32),
    /// `[result, a, count]`
    Shift(Shift, Size),
    /// `[result = reuse 1, a]`
    ShiftImmediate(Shift, Size, u8),
    /// `[result = reuse 1, a]`
    Negate,
    /// `[result, a]`, or `[result, address…]`: a load that widens
    Extend { from: Size, to: Size, signed: bool },
    /// `[value, address…]`
    Store(Size),
    /// `[result, compared…]`
    SetIf(Compare),
    /// `[result = reuse 1, otherwise, then, compared…]`
    SelectInteger(Compare, Size),
    /// `[result, a]`: a 32-bit integer from lane 0.
    LaneToInteger,
    /// `[result, a]`: a 32-bit integer into lane 0.
    IntegerToLane,
    /// `[address…]`
    Prefetch,

    /// `[result]`
    Zero,
    /// `[result, a, b | address…]`
    Binary(Binary, Width),
    /// `[result, a | address…]`
    Unary(Unary, Width),
    /// `[result = reuse 1, accumulator, a, b | address…]`
    Fma(Width),
    /// `[value, address…]`
    StoreVector(Width),
    /// `[value, address…]`
    StoreNonTemporal(Width),
    /// Lanes of all ones where the comparison holds. `[result, a, b | address…]`
    CompareLanes(Predicate, Width),
    /// AVX-512: `x` where the comparison holds, else `y`. `[result, x, y, a, b | address…]`
    CompareBlend(Predicate, Width),
    /// AVX2: `x` where the lane of the mask is negative, else `y`. `[result, x, y, mask]`
    BlendLanes(Width),
    /// AVX-512: bits of `x` where the mask is one, else of `y`. `[result = reuse 1, mask, x, y]`
    BlendBits(Width),
    /// `[result = reuse 1, otherwise, then, compared…]`
    SelectVector(Compare, Width),
    /// `[result, a]`: 128 bits out of a wider register.
    Extract128(u8, Width),
    /// AVX-512. `[result = reuse 1, a, scalar, temporary integer]`
    InsertLane(u8, Width),
    /// AVX2: the mask of the first n lanes out of a table. `[result, temporary integer, -n]`
    MaskOfCount(ConstantId, Width),
    /// AVX2. `[result, mask, address…]`
    LoadMasked(Width),
    /// AVX2. `[value, mask, address…]`
    StoreMasked(Width),
    /// AVX-512. `[result, temporary integer, n, address…]`
    LoadFirst(Width),
    /// AVX-512. `[temporary integer, value, n, address…]`
    StoreFirst(Width),
    /// 128 bits of memory into a lane of a wider register. `[result, a, address…]`
    InsertPart(u8, Width),
    /// A 128-bit lane, not the lowest, to memory. `[value, address…]`
    StorePart(u8, Width),
    /// AVX-512: lanes by the bits of a constant. `[result, temporary integer, address…]`
    LoadLanes(Width, u16),
    /// AVX-512. `[temporary integer, value, address…]`
    StoreLanes(Width, u16),
}

/// A constant of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConstantId(pub(crate) u32);

/// Where a memory operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `base + displacement`; the base is the last operand.
    Base { displacement: i32 },
    /// `base + index * scale + displacement`; base and index are the last operands.
    Indexed { scale: u8, displacement: i32 },
    /// In the constant pool, without registers.
    Pool(ConstantId),
}

impl Place {
    /// How many operands hold the address.
    pub(crate) fn registers(self) -> usize {
        match self {
            Self::Base { .. } => 1,
            Self::Indexed { .. } => 2,
            Self::Pool(_) => 0,
        }
    }
}

/// A memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) place: Place,
    /// One 32-bit value for all lanes (`{1toN}`).
    pub(crate) broadcast: bool,
}

/// One machine instruction, or a few that the register allocator sees as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inst {
    pub(crate) op: Op,
    pub(crate) memory: Option<Memory>,
    operands_start: u32,
    operands_len: u32,
}

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// A block of the function.
    Body,
    /// Made by splitting a critical edge; without moves it vanishes.
    Edge,
}

/// A basic block: a range of instructions, the last of which is its only branch.
#[derive(Clone, Debug)]
pub(crate) struct BlockData {
    pub(crate) kind: BlockKind,
    pub(crate) insts: std::ops::Range<usize>,
    pub(crate) params: Vec<VReg>,
    pub(crate) successors: Vec<Block>,
    pub(crate) predecessors: Vec<Block>,
    /// Block arguments for each successor.
    pub(crate) arguments: Vec<Vec<VReg>>,
}

/// A function in machine code, its blocks in the order of emission.
#[derive(Debug, Default)]
pub(crate) struct VCode {
    pub(crate) insts: Vec<Inst>,
    pub(crate) blocks: Vec<BlockData>,
    pub(crate) virtual_registers: usize,
    /// Constants that code refers to, each once.
    pub(crate) pool: Vec<Vec<u8>>,
    /// The widest vector that occurs.
    pub(crate) widest: Option<Width>,
    operands: Vec<Operand>,
}

impl VCode {
    /// No code, in the memory of some that is no longer needed.
    pub(crate) fn recycled(mut self) -> Self {
        self.insts.clear();
        self.operands.clear();
        Self { insts: self.insts, operands: self.operands, ..Self::default() }
    }

    /// An instruction whose operands are stored here; it is not yet part of a block.
    pub(crate) fn inst(
        &mut self,
        op: Op,
        operands: impl Iterator<Item = Operand>,
        memory: Option<Memory>,
    ) -> Inst {
        let operands_start = self.operands.len();
        self.operands.extend(operands);
        let operands_len = self.operands.len() - operands_start;
        Inst {
            op,
            memory,
            operands_start: operands_start as u32,
            operands_len: operands_len as u32,
        }
    }

    /// The operands of an instruction.
    pub(crate) fn operands(&self, inst: &Inst) -> &[Operand] {
        let start = inst.operands_start as usize;
        &self.operands[start..start + inst.operands_len as usize]
    }

    /// The number of an instruction's first operand among those of all.
    pub(crate) fn first_operand(&self, inst: &Inst) -> usize {
        inst.operands_start as usize
    }

    /// The operands of all instructions.
    pub(crate) fn all_operands(&self) -> &[Operand] {
        &self.operands
    }

    /// The pool's constant with these bytes.
    pub(crate) fn constant(&mut self, bytes: Vec<u8>) -> ConstantId {
        let position = self.pool.iter().position(|known| *known == bytes);
        let position = position.unwrap_or_else(|| {
            self.pool.push(bytes);
            self.pool.len() - 1
        });
        ConstantId(position as u32)
    }
}
