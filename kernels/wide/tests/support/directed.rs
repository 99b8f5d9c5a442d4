//! Functions of one operation each, in all forms that it can take.
//!
//! An operation on vectors is applied to more values than there are registers with a VEX encoding, so
//! that it occurs in VEX and in EVEX form; its second operand is in a register, in memory or constant.

use super::function;
use super::kernels::{constant, vector_type};
use super::random::INT_CONDITIONS;
use clif_wide::intrinsics::Intrinsic;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    ConstantData, Function, InstBuilder, MemFlagsData, Type, Value, types,
};
use cranelift_frontend::FunctionBuilder;

/// Values that an operation is applied to.
const VALUES: usize = 26;
/// Results of the functions on integers.
const INTEGERS: usize = 400;
/// All functions access so many floats at their first parameter, which is aligned to 64 bytes.
pub(crate) const FLOATS: usize = 32 * 16 + 2 * INTEGERS;

/// Where the second operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    Register,
    Memory,
    /// A scalar in memory, for all lanes.
    Broadcast,
    /// The same in all lanes.
    Uniform,
    /// Different in each lane.
    Constant,
}

impl Second {
    const ALL: [Self; 5] =
        [Self::Register, Self::Memory, Self::Broadcast, Self::Uniform, Self::Constant];
}

/// What an operation may use.
#[derive(Clone, Copy)]
struct Operands {
    ty: Type,
    /// In a register.
    first: Value,
    second: Value,
    /// In registers.
    others: [Value; 2],
    /// A pointer to a vector.
    pointer: Value,
    /// An i64 that is not constant.
    n: Value,
}

type Operation = fn(&mut FunctionBuilder<'_>, Operands) -> Value;

/// Operations on f32 and on vectors.
const FLOAT_OPERATIONS: [(&str, Operation); 18] = [
    ("fadd", |b, o| b.ins().fadd(o.first, o.second)),
    ("fsub", |b, o| b.ins().fsub(o.first, o.second)),
    ("fmul", |b, o| b.ins().fmul(o.first, o.second)),
    ("fdiv", |b, o| b.ins().fdiv(o.first, o.second)),
    ("fma", |b, o| b.ins().fma(o.others[0], o.second, o.first)),
    ("sqrt", |b, o| b.ins().sqrt(o.second)),
    ("sqrt of a sum", |b, o| {
        let sum = b.ins().fadd(o.first, o.second);
        b.ins().sqrt(sum)
    }),
    ("relu", |b, o| {
        let zero = b.ins().f32const(0.0);
        let zero = if o.ty == types::F32 { zero } else { b.ins().splat(o.ty, zero) };
        choose(b, FloatCC::GreaterThan, [o.first, zero], [o.first, zero])
    }),
    ("fneg", |b, o| b.ins().fneg(o.first)),
    ("fabs", |b, o| b.ins().fabs(o.first)),
    ("minimum", |b, o| choose(b, FloatCC::LessThan, [o.first, o.second], [o.first, o.second])),
    ("maximum", |b, o| choose(b, FloatCC::GreaterThan, [o.first, o.second], [o.first, o.second])),
    ("compare and blend", |b, o| {
        choose(b, FloatCC::GreaterThanOrEqual, [o.first, o.second], o.others)
    }),
    ("select", |b, o| b.ins().select(o.n, o.first, o.others[1])),
    ("bits", |b, o| {
        let integers = if o.ty == types::F32 { types::I32 } else { o.ty.as_int() };
        let [x, y] = [o.first, o.second].map(|v| b.ins().bitcast(integers, cast(), v));
        let sum = b.ins().iadd(x, y);
        b.ins().bitcast(o.ty, cast(), sum)
    }),
    ("compare", |b, o| {
        let compared = b.ins().fcmp(FloatCC::UnorderedOrLessThan, o.first, o.second);
        if o.ty == types::F32 {
            let integer = b.ins().uextend(types::I32, compared);
            return b.ins().bitcast(types::F32, cast(), integer);
        }
        b.ins().bitcast(o.ty, cast(), compared)
    }),
    ("store", |b, o| {
        b.ins().store(flags(), o.first, o.pointer, 0);
        o.first
    }),
    ("copy", |_, o| o.second),
];

/// Operations on vectors only.
const VECTOR_OPERATIONS: [(&str, Operation); 34] = [
    ("band", |b, o| b.ins().band(o.first, o.second)),
    ("bor", |b, o| b.ins().bor(o.first, o.second)),
    ("bxor", |b, o| b.ins().bxor(o.first, o.second)),
    ("isub", |b, o| {
        let [x, y] = [o.first, o.second].map(|v| b.ins().bitcast(o.ty.as_int(), cast(), v));
        let difference = b.ins().isub(x, y);
        b.ins().bitcast(o.ty, cast(), difference)
    }),
    ("ishl", |b, o| shifted(b, o, |b, x, n| b.ins().ishl(x, n))),
    ("ushr", |b, o| shifted(b, o, |b, x, n| b.ins().ushr(x, n))),
    ("sshr", |b, o| shifted(b, o, |b, x, n| b.ins().sshr(x, n))),
    ("bitselect", |b, o| b.ins().bitselect(o.first, o.second, o.others[0])),
    ("splat", |b, o| {
        let scalar = b.ins().extractlane(o.first, 0);
        b.ins().splat(o.ty, scalar)
    }),
    ("splat of an integer", |b, o| {
        let integer = b.ins().ireduce(types::I32, o.n);
        let integers = b.ins().splat(o.ty.as_int(), integer);
        let integers = b.ins().bitcast(o.ty, cast(), integers);
        b.ins().bxor(integers, o.first)
    }),
    ("extractlane 1", |b, o| extracted(b, o, 1)),
    ("extractlane last", |b, o| extracted(b, o, o.ty.lane_count() as u8 - 1)),
    ("extractlane 4, 8, 12", |b, o| {
        let lanes = (1..o.ty.lane_count() as u8 / 4).map(|n| extracted(b, o, 4 * n));
        lanes.last().unwrap_or(o.first)
    }),
    ("insertlane 0", |b, o| inserted(b, o, 0)),
    ("insertlane last", |b, o| inserted(b, o, o.ty.lane_count() as u8 - 1)),
    ("unpack low 32", |b, o| call(b, o, Intrinsic::UnpackLow32, &[o.first, o.second])),
    ("unpack high 32", |b, o| call(b, o, Intrinsic::UnpackHigh32, &[o.first, o.second])),
    ("unpack low 64", |b, o| call(b, o, Intrinsic::UnpackLow64, &[o.first, o.second])),
    ("unpack high 64", |b, o| call(b, o, Intrinsic::UnpackHigh64, &[o.first, o.second])),
    ("shuffle 32", |b, o| call(b, o, Intrinsic::Shuffle32(0x93), &[o.first, o.second])),
    ("swap 128", |b, o| call(b, o, Intrinsic::Swap128(0x31), &[o.first, o.second])),
    ("permute 64", |b, o| call(b, o, Intrinsic::Permute64(0x39), &[o.second])),
    ("permute 32 by indices", |b, o| {
        let indices = b.ins().bitcast(o.ty.as_int(), cast(), o.second);
        call(b, o, Intrinsic::Permute32, &[o.first, indices])
    }),
    ("permute 32 of data", |b, o| {
        let indices = b.ins().bitcast(o.ty.as_int(), cast(), o.first);
        call(b, o, Intrinsic::Permute32, &[o.second, indices])
    }),
    ("even", |b, o| call(b, o, Intrinsic::Even, &[o.first, o.second])),
    ("odd", |b, o| call(b, o, Intrinsic::Odd, &[o.first, o.second])),
    ("load first", |b, o| call(b, o, Intrinsic::LoadFirst, &[o.pointer, o.n])),
    ("load first two", |b, o| {
        let two = b.ins().iconst(types::I64, 2);
        call(b, o, Intrinsic::LoadFirst, &[o.pointer, two])
    }),
    ("store first", |b, o| {
        store(b, o, Intrinsic::StoreFirst, &[o.first, o.pointer, o.n]);
        o.first
    }),
    ("load lanes", |b, o| {
        let once = call(b, o, Intrinsic::LoadLanes(0x6), &[o.pointer]);
        let again = call(b, o, Intrinsic::LoadLanes(0x6), &[o.pointer]);
        b.ins().fadd(once, again)
    }),
    ("store lanes", |b, o| {
        store(b, o, Intrinsic::StoreLanes(0x5), &[o.first, o.pointer]);
        o.first
    }),
    ("load parts", |b, o| call(b, o, Intrinsic::LoadParts, &pointers(o))),
    ("store parts", |b, o| {
        let arguments = [vec![o.first], pointers(o)].concat();
        store(b, o, Intrinsic::StoreParts, &arguments);
        o.first
    }),
    ("store non-temporal", |b, o| {
        store(b, o, Intrinsic::Prefetch, &[o.pointer]);
        store(b, o, Intrinsic::StoreNonTemporal, &[o.first, o.pointer]);
        o.first
    }),
];

/// The same address for each 128-bit lane.
fn pointers(o: Operands) -> Vec<Value> {
    vec![o.pointer; o.ty.bytes() as usize / 16]
}

fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

fn cast() -> MemFlagsData {
    MemFlagsData::new()
}

fn choose(
    b: &mut FunctionBuilder<'_>,
    cc: FloatCC,
    [x, y]: [Value; 2],
    [then, otherwise]: [Value; 2],
) -> Value {
    let ty = b.func.dfg.value_type(x);
    let holds = b.ins().fcmp(cc, x, y);
    if ty == types::F32 {
        return b.ins().select(holds, then, otherwise);
    }
    let mask = b.ins().bitcast(ty, cast(), holds);
    b.ins().bitselect(mask, then, otherwise)
}

fn shifted(
    b: &mut FunctionBuilder<'_>,
    o: Operands,
    shift: fn(&mut FunctionBuilder<'_>, Value, Value) -> Value,
) -> Value {
    let bits = b.ins().bitcast(o.ty.as_int(), cast(), o.first);
    let count = b.ins().iconst(types::I32, 7);
    let bits = shift(b, bits, count);
    b.ins().bitcast(o.ty, cast(), bits)
}

/// A lane as a float and as an integer.
fn extracted(b: &mut FunctionBuilder<'_>, o: Operands, lane: u8) -> Value {
    let float = b.ins().extractlane(o.first, lane);
    let bits = b.ins().bitcast(o.ty.as_int(), cast(), o.first);
    let integer = b.ins().extractlane(bits, lane);
    b.ins().store(flags(), float, o.pointer, 0);
    b.ins().store(flags(), integer, o.pointer, 4);
    o.first
}

fn inserted(b: &mut FunctionBuilder<'_>, o: Operands, lane: u8) -> Value {
    let scalar = b.ins().extractlane(o.others[0], 0);
    b.ins().insertlane(o.first, scalar, lane)
}

/// The result of an intrinsic, or the first operand where there is none for the type.
fn call(b: &mut FunctionBuilder<'_>, o: Operands, of: Intrinsic, args: &[Value]) -> Value {
    let Ok(callee) = of.import(b.func, o.ty) else { return o.first };
    let call = b.ins().call(callee, args);
    b.inst_results(call)[0]
}

fn store(b: &mut FunctionBuilder<'_>, o: Operands, of: Intrinsic, args: &[Value]) {
    let callee = of.import(b.func, o.ty).expect("stores exist for all vectors");
    b.ins().call(callee, args);
}

/// `fn(floats, n)`, n from 0 to 3: an operation on many values at once.
fn over_many_values(lanes: u32, second: Second, operation: Operation) -> Function {
    function(2, false, |b, params| {
        let ty = if lanes == 1 { types::F32 } else { vector_type(lanes) };
        let (floats, n) = (params[0], params[1]);
        let at = |n: usize| (n as u32 * lanes * 4) as i32;
        let values: Vec<Value> =
            (0..VALUES).map(|n| b.ins().load(ty, flags(), floats, at(n))).collect();
        let value = |n: usize| values[n % VALUES];
        let mut results = Vec::new();
        for (index, &first) in values.iter().enumerate() {
            let second = match second {
                Second::Register => value(index + 1),
                Second::Memory => b.ins().load(ty, flags(), floats, at(VALUES)),
                Second::Broadcast => {
                    let scalar = b.ins().load(types::F32, flags(), floats, at(VALUES) + 4);
                    if lanes == 1 { scalar } else { b.ins().splat(ty, scalar) }
                }
                Second::Uniform | Second::Constant if lanes == 1 => b.ins().f32const(1.5),
                Second::Uniform => constant(b, ty, 1.5),
                Second::Constant => {
                    let lane = |n: u32| (1.0 + n as f32 / 4.0).to_le_bytes();
                    let bytes: Vec<u8> = (0..lanes).flat_map(lane).collect();
                    let handle = b.func.dfg.constants.insert(ConstantData::from(&bytes[..]));
                    b.ins().vconst(ty, handle)
                }
            };
            let pointer = b.ins().iadd_imm_s(floats, i64::from(at(VALUES + 1 + index % 4)));
            let others = [value(index + 2), value(index + 3)];
            results.push(operation(b, Operands { ty, first, second, others, pointer, n }));
        }
        for (n, result) in results.into_iter().enumerate() {
            b.ins().store(flags(), result, floats, at(n));
        }
        b.ins().return_(&[]);
    })
}

/// Where the results on integers go, and the number of those that are stored.
struct Results<'r, 'b> {
    b: &'r mut FunctionBuilder<'b>,
    floats: Value,
    stored: usize,
}

impl Results<'_, '_> {
    /// A new value from memory.
    fn load(&mut self, ty: Type) -> Value {
        let offset = (self.stored % 64 * 8) as i32;
        self.b.ins().load(ty, flags(), self.floats, offset)
    }

    fn store(&mut self, value: Value) {
        let offset = (32 * 16 + 2 * self.stored) as i32 * 4;
        self.b.ins().store(flags(), value, self.floats, offset);
        self.stored += 1;
        assert!(self.stored <= INTEGERS);
    }
}

fn integers(body: fn(&mut Results<'_, '_>)) -> Function {
    function(2, false, |b, params| {
        let mut results = Results { b, floats: params[0], stored: 0 };
        body(&mut results);
        results.b.ins().return_(&[]);
    })
}

/// Immediates of 8 and of 32 bits.
const IMMEDIATES: [i64; 2] = [-5, 0x1234_5678];

/// The bits of a constant that a type has room for.
fn cut(ty: Type, constant: i64) -> i64 {
    let unused = 64 - ty.bits();
    ((constant as u64) << unused >> unused) as i64
}

/// Arithmetic with a register and with immediates.
fn arithmetic(r: &mut Results<'_, '_>) {
    type Alu = fn(&mut FunctionBuilder<'_>, Value, Value) -> Value;
    let operations: [Alu; 7] = [
        |b, x, y| b.ins().iadd(x, y),
        |b, x, y| {
            // The sum cannot take the place of an input that is still needed.
            let sum = b.ins().iadd(x, y);
            b.ins().bxor(sum, x)
        },
        |b, x, y| b.ins().isub(x, y),
        |b, x, y| b.ins().imul(x, y),
        |b, x, y| b.ins().band(x, y),
        |b, x, y| b.ins().bor(x, y),
        |b, x, y| b.ins().bxor(x, y),
    ];
    let shifts: [Alu; 3] =
        [|b, x, y| b.ins().ishl(x, y), |b, x, y| b.ins().ushr(x, y), |b, x, y| b.ins().sshr(x, y)];
    for ty in [types::I8, types::I16, types::I32, types::I64] {
        for operation in operations {
            for immediate in [None].into_iter().chain(IMMEDIATES.map(Some)) {
                let x = r.load(ty);
                let y = match immediate {
                    Some(immediate) => r.b.ins().iconst(ty, cut(ty, immediate)),
                    None => r.load(ty),
                };
                let result = operation(r.b, x, y);
                r.store(result);
            }
        }
        for shift in shifts {
            let (x, y) = (r.load(ty), r.load(ty));
            let result = shift(r.b, x, y);
            r.store(result);
            let count = r.b.ins().iconst(types::I8, 3);
            let result = shift(r.b, x, count);
            r.store(result);
        }
    }
    for constant in [0, 7, -7, i64::MAX / 3] {
        let constant = r.b.ins().iconst(types::I64, constant);
        r.store(constant);
    }
}

/// Extensions from registers and from memory, and narrow stores.
fn extensions(r: &mut Results<'_, '_>) {
    for from in [types::I8, types::I16, types::I32] {
        for to in [types::I16, types::I32, types::I64] {
            if to.bits() <= from.bits() {
                continue;
            }
            let x = r.load(from);
            let x = r.b.ins().bxor(x, x);
            let extended = r.b.ins().uextend(to, x);
            r.store(extended);
            let y = r.load(from);
            let x = r.b.ins().isub(x, y);
            let extended = r.b.ins().sextend(to, x);
            r.store(extended);
            let (at, floats) = (r.stored as i32, r.floats);
            let extended = match from {
                types::I8 => [
                    r.b.ins().uload8(to, flags(), floats, at),
                    r.b.ins().sload8(to, flags(), floats, at),
                ],
                types::I16 => [
                    r.b.ins().uload16(to, flags(), floats, at),
                    r.b.ins().sload16(to, flags(), floats, at),
                ],
                _ => {
                    [r.b.ins().uload32(flags(), floats, at), r.b.ins().sload32(flags(), floats, at)]
                }
            };
            for value in extended {
                r.store(value);
            }
        }
    }
    let offset = 32 * 16 * 4 + 8 * INTEGERS as i32 - 64;
    let (x, floats) = (r.load(types::I64), r.floats);
    r.b.ins().istore8(flags(), x, floats, offset);
    r.b.ins().istore16(flags(), x, floats, offset + 8);
    r.b.ins().istore32(flags(), x, floats, offset + 16);
}

/// Comparisons as values and as conditions.
fn comparisons(r: &mut Results<'_, '_>) {
    for condition in INT_CONDITIONS {
        for ty in [types::I8, types::I16, types::I32, types::I64] {
            for immediate in [None, Some(0), Some(5), Some(0x1234_5678)] {
                let x = r.load(ty);
                let y = match immediate {
                    Some(immediate) => r.b.ins().iconst(ty, cut(ty, immediate)),
                    None => r.load(ty),
                };
                let holds = r.b.ins().icmp(condition, x, y);
                r.store(holds);
            }
        }
        for ty in [types::I32, types::I64] {
            let [x, y, then, otherwise] = [(); 4].map(|()| r.load(ty));
            let holds = r.b.ins().icmp(condition, x, y);
            let chosen = r.b.ins().select(holds, then, otherwise);
            r.store(chosen);
        }
    }
}

/// A loop and a branch forwards for each condition.
fn branches(r: &mut Results<'_, '_>) {
    for condition in INT_CONDITIONS {
        let up = matches!(
            condition,
            IntCC::NotEqual
                | IntCC::SignedLessThan
                | IntCC::SignedLessThanOrEqual
                | IntCC::UnsignedLessThan
                | IntCC::UnsignedLessThanOrEqual
        );
        let any = r.load(types::I64);
        let zero = r.b.ins().bxor(any, any);
        // Counts to the limit, or while it is equal to it.
        let (start, limit) = if condition == IntCC::Equal { (-1, 0) } else { (0, 3) };
        let (body, exit) = (r.b.create_block(), r.b.create_block());
        let count = r.b.append_block_param(body, types::I64);
        let start = r.b.ins().iconst(types::I64, start);
        r.b.ins().jump(body, &[start.into()]);
        r.b.switch_to_block(body);
        // Not a constant, which would go to the right side.
        let limit = r.b.ins().bor_imm_s(zero, limit);
        let next = r.b.ins().iadd_imm_s(count, 1);
        let [left, right] = if up { [next, limit] } else { [limit, next] };
        let more = r.b.ins().icmp(condition, left, right);
        r.b.ins().brif(more, body, &[next.into()], exit, &[]);
        r.b.switch_to_block(exit);
        r.store(next);

        let [then, otherwise, join] = [(); 3].map(|()| r.b.create_block());
        let chosen = r.b.append_block_param(join, types::I64);
        let (x, y) = (r.load(types::I32), r.load(types::I32));
        let holds = r.b.ins().icmp(condition, x, y);
        r.b.ins().brif(holds, then, &[], otherwise, &[]);
        for block in [then, otherwise] {
            r.b.switch_to_block(block);
            let value = r.load(types::I64);
            r.store(value);
            r.b.ins().jump(join, &[value.into()]);
        }
        r.b.switch_to_block(join);
        r.store(chosen);
    }

    // A loop that is left at its head.
    let [head, body, exit] = [(); 3].map(|()| r.b.create_block());
    let count = r.b.append_block_param(head, types::I64);
    let three = r.b.ins().iconst(types::I64, 3);
    r.b.ins().jump(head, &[three.into()]);
    r.b.switch_to_block(head);
    r.b.ins().brif(count, body, &[], exit, &[]);
    r.b.switch_to_block(body);
    let next = r.b.ins().iadd_imm_s(count, -1);
    r.store(next);
    r.b.ins().jump(head, &[next.into()]);
    r.b.switch_to_block(exit);
}

/// Loads from addresses of each shape.
fn addresses(lanes: u32) -> Function {
    function(2, false, |b, params| {
        let ty = if lanes == 1 { types::F32 } else { vector_type(lanes) };
        let vector = ty.bytes() as i32;
        let mut to = 0;
        for scale in [None, Some(0), Some(1), Some(2), Some(3)] {
            // EVEX counts displacements of a byte in vectors, where that is possible.
            for displacement in [0, vector, 4, 1000] {
                let pointer = match scale {
                    Some(scale) => {
                        let index = b.ins().ishl_imm_u(params[1], scale);
                        b.ins().iadd(params[0], index)
                    }
                    None => params[0],
                };
                let value = b.ins().load(ty, flags(), pointer, displacement);
                b.ins().store(flags(), value, params[0], 32 * 16 * 4 + to);
                to += vector;
            }
        }
        b.ins().return_(&[]);
    })
}

/// More values than fit the registers and a page.
fn large_frame(lanes: u32) -> Function {
    function(2, false, |b, params| {
        let ty = if lanes == 1 { types::F32 } else { vector_type(lanes) };
        let at = |n: usize| n as i32 * 4;
        let load = |n: usize| b.ins().load(ty, flags(), params[0], at(n));
        let values: Vec<Value> = (0..120).map(load).collect();
        for (n, value) in values.into_iter().rev().enumerate() {
            b.ins().store(flags(), value, params[0], at(32 * 16 + n));
        }
        b.ins().return_(&[]);
    })
}

/// `fn(floats, n)`, with n from 0 to 3, and their names.
pub(crate) fn functions(lanes: u32) -> Vec<(String, Function)> {
    let mut all = vec![
        ("arithmetic".to_owned(), integers(arithmetic)),
        ("extensions".to_owned(), integers(extensions)),
        ("comparisons".to_owned(), integers(comparisons)),
        ("branches".to_owned(), integers(branches)),
        ("addresses".to_owned(), addresses(lanes)),
        ("large frame".to_owned(), large_frame(lanes)),
    ];
    let vectors = if lanes == 1 { &[][..] } else { &VECTOR_OPERATIONS };
    for (name, operation) in FLOAT_OPERATIONS.iter().chain(vectors) {
        for second in Second::ALL {
            let func = over_many_values(lanes, second, *operation);
            all.push((format!("{name}, {second:?}"), func));
        }
    }
    all
}
