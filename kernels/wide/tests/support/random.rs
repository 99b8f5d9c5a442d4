//! Random functions of the supported subset, valid by construction.
//!
//! A function gets pointers to what it reads and to what it reads and writes, and a number. Its
//! operands are taken from all values that are visible, so many of them live long and must be spilled.
//! Values are kept finite: bits that become floats get a small exponent, divisors are positive, what a
//! loop carries is clamped.

use super::function;
use super::kernels::{choose, constant, vector_type};
use clif_wide::intrinsics::Intrinsic;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    BlockArg, ConstantData, Endianness, Function, InstBuilder, MemFlagsData, Type, Value, types,
};
use cranelift_frontend::FunctionBuilder;
use rand::{Rng, RngExt};

/// Floats that a function may read: at the first parameter.
pub(crate) const INPUT: usize = 512;
/// Floats that a function may read and write: at the second parameter.
pub(crate) const OUTPUT: usize = 1024;
/// Of the output, the floats from here on are for what is alive in the end.
const FINAL: usize = 512;

pub(crate) const INT_CONDITIONS: [IntCC; 10] = [
    IntCC::Equal,
    IntCC::NotEqual,
    IntCC::SignedLessThan,
    IntCC::SignedGreaterThanOrEqual,
    IntCC::SignedGreaterThan,
    IntCC::SignedLessThanOrEqual,
    IntCC::UnsignedLessThan,
    IntCC::UnsignedGreaterThanOrEqual,
    IntCC::UnsignedGreaterThan,
    IntCC::UnsignedLessThanOrEqual,
];

const FLOAT_CONDITIONS: [FloatCC; 14] = [
    FloatCC::Ordered,
    FloatCC::Unordered,
    FloatCC::Equal,
    FloatCC::NotEqual,
    FloatCC::OrderedNotEqual,
    FloatCC::UnorderedOrEqual,
    FloatCC::LessThan,
    FloatCC::LessThanOrEqual,
    FloatCC::GreaterThan,
    FloatCC::GreaterThanOrEqual,
    FloatCC::UnorderedOrLessThan,
    FloatCC::UnorderedOrLessThanOrEqual,
    FloatCC::UnorderedOrGreaterThan,
    FloatCC::UnorderedOrGreaterThanOrEqual,
];

/// `fn(input, output, n: i64, m: i64) -> i64`.
pub(crate) fn random_function(rng: &mut dyn Rng, lanes: u32) -> Function {
    function(4, true, |builder, params| {
        let mut random = Random {
            lanes,
            input: params[0],
            output: params[1],
            vectors: Vec::new(),
            floats: Vec::new(),
            longs: params[2..].to_vec(),
            ints: Vec::new(),
            b: builder,
            rng,
        };
        let lane = random.int_load();
        random.ints.push(lane);
        for _ in 0..random.rng.random_range(1..40) {
            let vector = random.vector_load();
            random.vectors.push(vector);
            let float = random.float_load();
            random.floats.push(float);
        }
        random.region(3);
        random.finish();
    })
}

struct Random<'r, 'b> {
    lanes: u32,
    input: Value,
    output: Value,
    /// Visible values by type: f32xN, f32, i64, i32.
    vectors: Vec<Value>,
    floats: Vec<Value>,
    longs: Vec<Value>,
    ints: Vec<Value>,
    b: &'r mut FunctionBuilder<'b>,
    rng: &'r mut dyn Rng,
}

fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

impl Random<'_, '_> {
    fn ty(&self) -> Type {
        vector_type(self.lanes)
    }

    fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick(&mut self, of: fn(&Self) -> &Vec<Value>) -> Value {
        let n = of(self).len();
        let n = self.below(n);
        of(self)[n]
    }

    /// A value to compute with: a constant, a load, a splat, mostly one that is visible.
    fn v(&mut self) -> Value {
        if self.chance(8) {
            let ty = self.ty();
            let value = [0.0, -0.0, 1.0, 6.0, -1.5, 0.1][self.below(6)];
            return constant(self.b, ty, value);
        }
        if self.chance(8) {
            return self.vector_load();
        }
        if self.chance(8) {
            let (float, ty) = (self.float_load(), self.ty());
            return self.b.ins().splat(ty, float);
        }
        self.pick(|r| &r.vectors)
    }

    fn f(&mut self) -> Value {
        match self.below(10) {
            0 => {
                let value = [0.0, -0.0, 1.0, 6.0, -1.5][self.below(5)];
                self.b.ins().f32const(value)
            }
            1 => self.float_load(),
            _ => self.pick(|r| &r.floats),
        }
    }

    fn long(&mut self) -> Value {
        if self.chance(20) {
            let any = self.rng.random::<i64>() >> self.below(64);
            return self.b.ins().iconst(types::I64, any);
        }
        self.pick(|r| &r.longs)
    }

    fn int(&mut self) -> Value {
        if self.chance(20) {
            let any = self.rng.random::<i32>() >> self.below(32);
            return self.b.ins().iconst(types::I32, i64::from(any as u32));
        }
        self.pick(|r| &r.ints)
    }

    /// A pointer and an offset with room for `floats`, and whether they are only for reading.
    fn place(&mut self, floats: usize) -> (Value, i32, bool) {
        let readonly = self.chance(50);
        let (base, len) = if readonly { (self.input, INPUT) } else { (self.output, FINAL) };
        let room = len - floats;
        if self.chance(40) {
            // An index that is not known when compiling: up to 31 times 4 or 8 bytes.
            let index = self.pick(|r| &r.longs);
            let index = self.b.ins().band_imm_s(index, 31);
            let scale = self.rng.random_range(2..4);
            let index = if self.chance(50) {
                self.b.ins().ishl_imm_u(index, scale)
            } else {
                self.b.ins().imul_imm_s(index, 1 << scale)
            };
            let pointer = self.b.ins().iadd(base, index);
            let offset = self.below(room - 62) as i32 * 4;
            if self.chance(50) {
                let pointer = self.b.ins().iadd_imm_s(pointer, i64::from(offset) + 8);
                return (pointer, -8, readonly);
            }
            return (pointer, offset, readonly);
        }
        (base, self.below(room + 1) as i32 * 4, readonly)
    }

    fn place_to_write(&mut self, floats: usize) -> (Value, i32) {
        loop {
            if let (pointer, offset, false) = self.place(floats) {
                return (pointer, offset);
            }
        }
    }

    fn vector_load(&mut self) -> Value {
        let (pointer, offset, _) = self.place(self.lanes as usize);
        let ty = self.ty();
        self.b.ins().load(ty, flags(), pointer, offset)
    }

    fn float_load(&mut self) -> Value {
        let (pointer, offset, _) = self.place(1);
        self.b.ins().load(types::F32, flags(), pointer, offset)
    }

    fn int_load(&mut self) -> Value {
        let (pointer, offset, _) = self.place(1);
        let ty = types::I32;
        match self.below(5) {
            0 => self.b.ins().uload8(ty, flags(), pointer, offset),
            1 => self.b.ins().sload8(ty, flags(), pointer, offset),
            2 => self.b.ins().uload16(ty, flags(), pointer, offset),
            3 => self.b.ins().sload16(ty, flags(), pointer, offset),
            _ => self.b.ins().load(ty, flags(), pointer, offset),
        }
    }

    /// A vector of bits as floats of at most 2.
    fn tame(&mut self, bits: Value) -> Value {
        let ty = self.ty();
        let integers = ty.as_int();
        let mask = self.b.ins().iconst(types::I32, 0xbfff_ffff);
        let mask = self.b.ins().splat(integers, mask);
        let bits = self.b.ins().band(bits, mask);
        self.b.ins().bitcast(ty, MemFlagsData::new(), bits)
    }

    /// The same value, but at most 6 in magnitude.
    fn clamp(&mut self, value: Value) -> Value {
        let ty = self.b.func.dfg.value_type(value);
        if ty == types::F32 {
            let six = self.b.ins().f32const(6.0);
            let less = self.b.ins().fcmp(FloatCC::LessThan, value, six);
            let value = self.b.ins().select(less, value, six);
            let minus_six = self.b.ins().f32const(-6.0);
            let less = self.b.ins().fcmp(FloatCC::LessThan, minus_six, value);
            return self.b.ins().select(less, value, minus_six);
        }
        let six = constant(self.b, ty, 6.0);
        let value = choose(self.b, FloatCC::LessThan, value, six);
        let minus_six = constant(self.b, ty, -6.0);
        choose(self.b, FloatCC::GreaterThan, value, minus_six)
    }

    fn condition(&mut self) -> Value {
        match self.below(5) {
            0 => {
                let cc = FLOAT_CONDITIONS[self.below(14)];
                let (x, y) = (self.f(), self.f());
                self.b.ins().fcmp(cc, x, y)
            }
            1 => self.pick(|r| &r.longs),
            2 => {
                let cc = INT_CONDITIONS[self.below(10)];
                let (x, y) = (self.int(), self.int());
                self.b.ins().icmp(cc, x, y)
            }
            3 => {
                let cc = INT_CONDITIONS[self.below(10)];
                let ty = [types::I8, types::I16][self.below(2)];
                let [x, y] = [self.long(), self.long()].map(|long| self.b.ins().ireduce(ty, long));
                self.b.ins().icmp(cc, x, y)
            }
            _ => {
                let cc = INT_CONDITIONS[self.below(10)];
                let (x, y) = (self.long(), self.long());
                self.b.ins().icmp(cc, x, y)
            }
        }
    }

    fn vector_op(&mut self) -> Value {
        let ty = self.ty();
        let bitcast = MemFlagsData::new();
        match self.below(19) {
            0..3 => {
                let (x, y, z) = (self.v(), self.v(), self.v());
                self.b.ins().fma(x, y, z)
            }
            3 => {
                let (x, y) = (self.v(), self.v());
                self.b.ins().fadd(x, y)
            }
            4 => {
                let (x, y) = (self.v(), self.v());
                self.b.ins().fsub(x, y)
            }
            5 => {
                let (x, y) = (self.v(), self.v());
                self.b.ins().fmul(x, y)
            }
            6 => {
                let (x, y) = (self.v(), self.v());
                let y = self.b.ins().fabs(y);
                let one = constant(self.b, ty, 1.0);
                let y = self.b.ins().fadd(y, one);
                self.b.ins().fdiv(x, y)
            }
            7 => {
                let x = self.v();
                let x = self.b.ins().fabs(x);
                self.b.ins().sqrt(x)
            }
            8 => {
                let x = self.v();
                self.b.ins().fneg(x)
            }
            9..11 => {
                let cc = match self.below(3) {
                    0 => FloatCC::LessThan,
                    1 => FloatCC::GreaterThan,
                    _ => FLOAT_CONDITIONS[self.below(14)],
                };
                let (x, y) = (self.v(), self.v());
                // Among others the forms that are minimum and maximum.
                let (then, otherwise) = match self.below(3) {
                    0 => (x, y),
                    1 => (y, x),
                    _ => (self.v(), self.v()),
                };
                let mask = self.b.ins().fcmp(cc, x, y);
                let mask = self.b.ins().bitcast(ty, bitcast, mask);
                self.b.ins().bitselect(mask, then, otherwise)
            }
            11 => {
                let (condition, x, y) = (self.condition(), self.v(), self.v());
                self.b.ins().select(condition, x, y)
            }
            12 => {
                let [x, y] = [self.v(), self.v()]
                    .map(|value| self.b.ins().bitcast(ty.as_int(), bitcast, value));
                let mut bits = match self.below(5) {
                    0 => self.b.ins().iadd(x, y),
                    1 => self.b.ins().isub(x, y),
                    2 => self.b.ins().band(x, y),
                    3 => self.b.ins().bor(x, y),
                    _ => self.b.ins().bxor(x, y),
                };
                let count = self.below(32) as i64;
                let count = self.b.ins().iconst(types::I32, count);
                bits = match self.below(4) {
                    0 => self.b.ins().ishl(bits, count),
                    1 => self.b.ins().ushr(bits, count),
                    2 => self.b.ins().sshr(bits, count),
                    _ => bits,
                };
                self.tame(bits)
            }
            13 => {
                let int = self.int();
                let bits = self.b.ins().splat(ty.as_int(), int);
                self.tame(bits)
            }
            14 => {
                let (x, float) = (self.v(), self.f());
                let lane = self.below(self.lanes as usize) as u8;
                self.b.ins().insertlane(x, float, lane)
            }
            15 => {
                let bytes: Vec<u8> = (0..self.lanes)
                    .flat_map(|_| self.rng.random_range(-2.0f32..2.0).to_le_bytes())
                    .collect();
                let handle = self.b.func.dfg.constants.insert(ConstantData::from(&bytes[..]));
                self.b.ins().vconst(ty, handle)
            }
            16 => {
                let (mask, x, y) = (self.v(), self.v(), self.v());
                let bits = self.b.ins().bitselect(mask, x, y);
                let bits = self.b.ins().bitcast(ty.as_int(), bitcast, bits);
                self.tame(bits)
            }
            17 => {
                let cc = FLOAT_CONDITIONS[self.below(14)];
                let (x, y) = (self.v(), self.v());
                let bits = self.b.ins().fcmp(cc, x, y);
                self.tame(bits)
            }
            _ if self.lanes == 4 && self.chance(50) => self.shuffle(),
            _ => self.intrinsic(),
        }
    }

    /// CLIF's own shuffle, of whole lanes.
    fn shuffle(&mut self) -> Value {
        let lanes: [u8; 4] = self.rng.random();
        let lanes = match self.below(3) {
            0 => [0, 4, 1, 5],
            1 => [6, 2, 7, 3],
            _ => lanes.map(|lane| lane % 8),
        };
        let bytes: Vec<u8> = lanes.into_iter().flat_map(|n| 4 * n..4 * n + 4).collect();
        let mask = self.b.func.dfg.immediates.push(ConstantData::from(&bytes[..]));
        let cast = MemFlagsData::new().with_endianness(Endianness::Little);
        let [x, y] = [self.v(), self.v()].map(|v| self.b.ins().bitcast(types::I8X16, cast, v));
        let shuffled = self.b.ins().shuffle(x, y, mask);
        self.b.ins().bitcast(types::F32X4, cast, shuffled)
    }

    fn intrinsic(&mut self) -> Value {
        let ty = self.ty();
        let immediate = self.rng.random::<u8>();
        let wide = self.lanes > 4;
        let intrinsic = match self.below(13) {
            0 => Intrinsic::UnpackLow32,
            1 => Intrinsic::UnpackHigh32,
            2 => Intrinsic::UnpackLow64,
            3 => Intrinsic::UnpackHigh64,
            4 => Intrinsic::Shuffle32(immediate),
            5 if wide => Intrinsic::Swap128(immediate),
            6 if wide => Intrinsic::Permute64(immediate),
            7 => Intrinsic::Permute32,
            8 => Intrinsic::Even,
            9 => Intrinsic::Odd,
            10 => Intrinsic::LoadLanes(self.rng.random()),
            11 => Intrinsic::LoadParts,
            _ => Intrinsic::LoadFirst,
        };
        let args = match intrinsic {
            Intrinsic::Permute64(_) => vec![self.v()],
            Intrinsic::Permute32 => {
                let (x, y) = (self.v(), self.v());
                let y = self.b.ins().bitcast(ty.as_int(), MemFlagsData::new(), y);
                vec![x, y]
            }
            Intrinsic::LoadFirst => {
                let n = self.count();
                let (pointer, offset, _) = self.place(self.lanes as usize);
                vec![self.b.ins().iadd_imm_s(pointer, i64::from(offset)), n]
            }
            Intrinsic::LoadParts => (0..self.lanes / 4)
                .map(|_| {
                    let (pointer, offset, _) = self.place(4);
                    self.b.ins().iadd_imm_s(pointer, i64::from(offset))
                })
                .collect(),
            Intrinsic::LoadLanes(_) => {
                let (pointer, offset, _) = self.place(self.lanes as usize);
                vec![self.b.ins().iadd_imm_s(pointer, i64::from(offset))]
            }
            _ => vec![self.v(), self.v()],
        };
        let callee = intrinsic.import(self.b.func, ty).expect("an intrinsic of the type");
        let call = self.b.ins().call(callee, &args);
        self.b.inst_results(call)[0]
    }

    /// From 0 to the number of lanes, known or not.
    fn count(&mut self) -> Value {
        if self.chance(50) {
            let n = self.below(self.lanes as usize + 1);
            return self.b.ins().iconst(types::I64, n as i64);
        }
        let n = self.long();
        self.b.ins().band_imm_s(n, i64::from(self.lanes) - 1)
    }

    fn float_op(&mut self) -> Value {
        match self.below(10) {
            0 => {
                let (x, y, z) = (self.f(), self.f(), self.f());
                self.b.ins().fma(x, y, z)
            }
            1 => {
                let (x, y) = (self.f(), self.f());
                self.b.ins().fadd(x, y)
            }
            2 => {
                let (x, y) = (self.f(), self.f());
                self.b.ins().fsub(x, y)
            }
            3 => {
                let (x, y) = (self.f(), self.f());
                self.b.ins().fmul(x, y)
            }
            4 => {
                let (x, y) = (self.f(), self.f());
                let y = self.b.ins().fabs(y);
                let one = self.b.ins().f32const(1.0);
                let y = self.b.ins().fadd(one, y);
                self.b.ins().fdiv(x, y)
            }
            5 => {
                let x = self.f();
                let x = self.b.ins().fabs(x);
                self.b.ins().sqrt(x)
            }
            6 => {
                let cc = FLOAT_CONDITIONS[self.below(14)];
                let (x, y) = (self.f(), self.f());
                let holds = self.b.ins().fcmp(cc, x, y);
                if self.chance(50) {
                    return self.b.ins().select(holds, y, x);
                }
                self.b.ins().select(holds, x, y)
            }
            7 => {
                let (condition, x, y) = (self.condition(), self.f(), self.f());
                self.b.ins().select(condition, x, y)
            }
            8 => {
                let int = self.int();
                let int = self.b.ins().band_imm_u(int, 0xbfff_ffff);
                self.b.ins().bitcast(types::F32, MemFlagsData::new(), int)
            }
            _ => {
                let x = self.v();
                let lane = self.below(self.lanes as usize) as u8;
                self.b.ins().extractlane(x, lane)
            }
        }
    }

    /// A binary operation on integers of any size.
    fn arithmetic(&mut self, x: Value, y: Value) -> Value {
        match self.below(9) {
            0 => self.b.ins().iadd(x, y),
            1 => self.b.ins().isub(x, y),
            2 => self.b.ins().imul(x, y),
            3 => self.b.ins().band(x, y),
            4 => self.b.ins().bor(x, y),
            5 => self.b.ins().bxor(x, y),
            6 => self.b.ins().ishl(x, y),
            7 => self.b.ins().ushr(x, y),
            _ => self.b.ins().sshr(x, y),
        }
    }

    fn long_op(&mut self) -> Value {
        match self.below(6) {
            0 => {
                let int = self.int();
                self.b.ins().uextend(types::I64, int)
            }
            1 => {
                let int = self.int();
                self.b.ins().sextend(types::I64, int)
            }
            2 => {
                let (condition, x, y) = (self.condition(), self.long(), self.long());
                self.b.ins().select(condition, x, y)
            }
            3 => {
                let (pointer, offset, _) = self.place(2);
                match self.below(3) {
                    0 => self.b.ins().uload32(flags(), pointer, offset),
                    1 => self.b.ins().sload32(flags(), pointer, offset),
                    _ => self.b.ins().load(types::I64, flags(), pointer, offset),
                }
            }
            _ => {
                let (x, y) = (self.long(), self.long());
                self.arithmetic(x, y)
            }
        }
    }

    fn int_op(&mut self) -> Value {
        match self.below(8) {
            0 => {
                let long = self.long();
                self.b.ins().ireduce(types::I32, long)
            }
            1 => {
                let float = self.f();
                self.b.ins().bitcast(types::I32, MemFlagsData::new(), float)
            }
            2 => {
                let condition = self.condition();
                let ty = self.b.func.dfg.value_type(condition);
                if ty == types::I64 {
                    return self.b.ins().ireduce(types::I32, condition);
                }
                self.b.ins().uextend(types::I32, condition)
            }
            3 => self.int_load(),
            4 => {
                let (condition, x, y) = (self.condition(), self.int(), self.int());
                self.b.ins().select(condition, x, y)
            }
            5 => {
                // Narrow arithmetic.
                let ty = [types::I8, types::I16][self.below(2)];
                let [x, y] = [self.long(), self.long()].map(|long| self.b.ins().ireduce(ty, long));
                let narrow = self.arithmetic(x, y);
                if self.chance(50) {
                    return self.b.ins().sextend(types::I32, narrow);
                }
                self.b.ins().uextend(types::I32, narrow)
            }
            _ => {
                let (x, y) = (self.int(), self.int());
                self.arithmetic(x, y)
            }
        }
    }

    /// A pointer into the output that is aligned to a vector, with room for one.
    fn aligned_place_to_write(&mut self) -> Value {
        let (vectors, bytes) = (FINAL / self.lanes as usize, i64::from(self.lanes) * 4);
        let (mut pointer, mut room) = (self.output, vectors);
        if self.chance(50) {
            let index = self.pick(|r| &r.longs);
            let index = self.b.ins().band_imm_s(index, vectors as i64 / 2 - 1);
            let index = self.b.ins().imul_imm_s(index, bytes);
            pointer = self.b.ins().iadd(pointer, index);
            room = vectors / 2;
        }
        let offset = self.below(room) as i64 * bytes;
        self.b.ins().iadd_imm_s(pointer, offset)
    }

    fn prefetch(&mut self) {
        let (pointer, offset, _) = self.place(1);
        // Any number is an address that may be asked for.
        let pointer = if self.chance(30) { self.long() } else { pointer };
        let pointer = self.b.ins().iadd_imm_s(pointer, i64::from(offset));
        let ty = self.ty();
        let callee = Intrinsic::Prefetch.import(self.b.func, ty).expect("a prefetch");
        self.b.ins().call(callee, &[pointer]);
    }

    fn write(&mut self) {
        match self.below(10) {
            6 => {
                let (vector, ty) = (self.v(), self.ty());
                let mut args = vec![self.clamp(vector)];
                for _ in 0..self.lanes / 4 {
                    let (pointer, offset) = self.place_to_write(4);
                    args.push(self.b.ins().iadd_imm_s(pointer, i64::from(offset)));
                }
                let callee = Intrinsic::StoreParts.import(self.b.func, ty).expect("a store");
                self.b.ins().call(callee, &args);
            }
            5 => {
                let (pointer, offset) = self.place_to_write(self.lanes as usize);
                let pointer = self.b.ins().iadd_imm_s(pointer, i64::from(offset));
                let (vector, ty) = (self.v(), self.ty());
                let vector = self.clamp(vector);
                let store = Intrinsic::StoreLanes(self.rng.random());
                let callee = store.import(self.b.func, ty).expect("a store");
                self.b.ins().call(callee, &[vector, pointer]);
            }
            0 => {
                let (pointer, offset) = self.place_to_write(self.lanes as usize);
                let pointer = self.b.ins().iadd_imm_s(pointer, i64::from(offset));
                let (vector, n, ty) = (self.v(), self.count(), self.ty());
                let vector = self.clamp(vector);
                let callee = Intrinsic::StoreFirst.import(self.b.func, ty).expect("a store");
                self.b.ins().call(callee, &[vector, pointer, n]);
            }
            1 => {
                let (pointer, offset) = self.place_to_write(1);
                let float = self.f();
                let float = self.clamp(float);
                self.b.ins().store(flags(), float, pointer, offset);
            }
            2 => {
                let (pointer, vector, ty) = (self.aligned_place_to_write(), self.v(), self.ty());
                let vector = self.clamp(vector);
                let callee = Intrinsic::StoreNonTemporal.import(self.b.func, ty).expect("a store");
                self.b.ins().call(callee, &[vector, pointer]);
            }
            3 => self.prefetch(),
            4 => {
                let (pointer, offset) = self.place_to_write(1);
                let bytes = self.long();
                match self.below(3) {
                    0 => self.b.ins().istore8(flags(), bytes, pointer, offset),
                    1 => self.b.ins().istore16(flags(), bytes, pointer, offset),
                    _ => self.b.ins().istore32(flags(), bytes, pointer, offset),
                };
            }
            _ => {
                let (pointer, offset) = self.place_to_write(self.lanes as usize);
                let vector = self.v();
                let vector = self.clamp(vector);
                self.b.ins().store(flags(), vector, pointer, offset);
            }
        }
    }

    /// Instructions, loops and branches.
    fn region(&mut self, depth: usize) {
        for _ in 0..self.rng.random_range(3..25) {
            match self.below(100) {
                0..45 => {
                    let mut value = self.vector_op();
                    if self.chance(30) {
                        value = self.clamp(value);
                    }
                    self.vectors.push(value);
                }
                45..60 => {
                    let mut value = self.float_op();
                    if self.chance(50) {
                        value = self.clamp(value);
                    }
                    self.floats.push(value);
                }
                60..72 => {
                    let value = self.long_op();
                    self.longs.push(value);
                }
                72..84 => {
                    let value = self.int_op();
                    self.ints.push(value);
                }
                84..92 => self.write(),
                92..96 if depth > 0 => self.repeat(depth - 1),
                _ if depth > 0 => self.either(depth - 1),
                _ => {}
            }
        }
    }

    fn visible(&self) -> [usize; 4] {
        [self.vectors.len(), self.floats.len(), self.longs.len(), self.ints.len()]
    }

    fn hide(&mut self, [vectors, floats, longs, ints]: [usize; 4]) {
        self.vectors.truncate(vectors);
        self.floats.truncate(floats);
        self.longs.truncate(longs);
        self.ints.truncate(ints);
    }

    fn repeat(&mut self, depth: usize) {
        let visible = self.visible();
        let carried: Vec<Value> = (0..self.below(28)).map(|_| self.v()).collect();
        let float = self.f();
        let ty = self.ty();
        let (body, exit) = (self.b.create_block(), self.b.create_block());
        let zero = self.b.ins().iconst(types::I64, 0);
        let times = self.rng.random_range(1..5);
        let mut args: Vec<BlockArg> = vec![zero.into(), float.into()];
        args.extend(carried.iter().map(|value| BlockArg::from(*value)));
        let counter = self.b.append_block_param(body, types::I64);
        let float = self.b.append_block_param(body, types::F32);
        let params: Vec<Value> =
            carried.iter().map(|_| self.b.append_block_param(body, ty)).collect();
        let results: Vec<Value> =
            carried.iter().map(|_| self.b.append_block_param(exit, ty)).collect();
        self.b.ins().jump(body, &args);

        self.b.switch_to_block(body);
        self.longs.push(counter);
        self.floats.push(float);
        self.vectors.extend(&params);
        self.region(depth);
        let next: Vec<Value> = params
            .iter()
            .map(|param| {
                if self.chance(60) {
                    let (x, y) = (self.v(), self.v());
                    let sum = self.b.ins().fma(x, y, *param);
                    return self.clamp(sum);
                }
                // Also parameters in another order.
                let value = self.v();
                self.clamp(value)
            })
            .collect();
        let next_float = self.f();
        let next_float = self.clamp(next_float);
        let next_counter = self.b.ins().iadd_imm_s(counter, 1);
        let more = self.b.ins().icmp_imm_s(IntCC::NotEqual, next_counter, times);
        let mut again: Vec<BlockArg> = vec![next_counter.into(), next_float.into()];
        again.extend(next.iter().map(|value| BlockArg::from(*value)));
        let done: Vec<BlockArg> = next.iter().map(|value| (*value).into()).collect();
        self.b.ins().brif(more, body, &again, exit, &done);

        self.b.switch_to_block(exit);
        self.hide(visible);
        self.vectors.extend(results);
    }

    fn either(&mut self, depth: usize) {
        let (ty, condition) = (self.ty(), self.condition());
        let [then, otherwise, join] = [(); 3].map(|()| self.b.create_block());
        let count = self.below(4);
        let results: Vec<Value> = (0..count).map(|_| self.b.append_block_param(join, ty)).collect();
        // Sometimes an edge that goes to the join at once, which is critical.
        let direct: Option<Vec<BlockArg>> =
            self.chance(50).then(|| (0..count).map(|_| self.v().into()).collect());
        match &direct {
            Some(args) => self.b.ins().brif(condition, then, &[], join, args),
            None => self.b.ins().brif(condition, then, &[], otherwise, &[]),
        };
        for block in [Some(then), direct.is_none().then_some(otherwise)].into_iter().flatten() {
            let visible = self.visible();
            self.b.switch_to_block(block);
            self.region(depth);
            let args: Vec<BlockArg> = (0..count).map(|_| self.v().into()).collect();
            self.b.ins().jump(join, &args);
            self.hide(visible);
        }
        self.b.switch_to_block(join);
        self.vectors.extend(results);
    }

    /// Stores what is alive and returns an integer.
    fn finish(&mut self) {
        let lanes = self.lanes as usize;
        let mut offset = FINAL;
        let floats = self.floats.clone();
        for value in floats.into_iter().rev().take(64) {
            self.b.ins().store(flags(), value, self.output, offset as i32 * 4);
            offset += 1;
        }
        let vectors = self.vectors.clone();
        for value in vectors.into_iter().rev().take((OUTPUT - offset) / lanes) {
            self.b.ins().store(flags(), value, self.output, offset as i32 * 4);
            offset += lanes;
        }
        let mut sum = self.longs[0];
        for value in self.longs.clone() {
            sum = self.b.ins().bxor(sum, value);
        }
        for value in self.ints.clone() {
            let value = self.b.ins().uextend(types::I64, value);
            sum = self.b.ins().iadd(sum, value);
        }
        self.b.ins().return_(&[sum]);
    }
}
