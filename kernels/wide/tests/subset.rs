//! The operations of the kernels one by one: what is special about each of them.
#![allow(unsafe_code, reason = "generated code is called")]

mod support;

use clif_wide::intrinsics::Intrinsic;
use clif_wide::{Context, Error, Isa};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, BlockArg, ConstantData, Endianness, Function, InstBuilder, MemFlagsData, Type, Value,
    types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use support::differential;
use support::jit::{Executable, Floats};
use support::kernels::{constant, vector_type};
use support::listing;

const SPECIAL: [f32; 8] =
    [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0, -1.0, f32::MIN_POSITIVE];

fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// f32 for one lane.
fn ty(lanes: u32) -> Type {
    if lanes == 1 { types::F32 } else { vector_type(lanes) }
}

/// The lanes of an instruction set, and a scalar.
fn all_lanes(isa: Isa) -> impl Iterator<Item = u32> {
    std::iter::once(1).chain(support::lane_counts(isa))
}

/// Checks `fn(floats, n)` and returns its disassembly.
fn check(isa: Isa, func: &Function, name: &str, floats: Floats, n: u64) -> String {
    let code = differential::check(isa, func, name, floats, n, &mut Context::checked());
    listing::disassembly(&code)
}

/// The mnemonics of a disassembly.
fn counts(text: &str, mnemonic: &str) -> usize {
    text.lines().filter(|line| line.split_whitespace().nth(1) == Some(mnemonic)).count()
}

fn choose_less(
    b: &mut FunctionBuilder<'_>,
    x: Value,
    y: Value,
    then: Value,
    other: Value,
) -> Value {
    let ty = b.func.dfg.value_type(x);
    let less = b.ins().fcmp(FloatCC::LessThan, x, y);
    if ty == types::F32 {
        return b.ins().select(less, then, other);
    }
    let mask = b.ins().bitcast(ty, MemFlagsData::new(), less);
    b.ins().bitselect(mask, then, other)
}

#[test]
fn minimum_and_maximum_are_one_instruction_exact_for_nan_and_zeros() {
    for isa in Isa::ALL {
        for lanes in all_lanes(isa) {
            // Every special value against every other: the second operand turns by one each time.
            let pairs = SPECIAL.len() * SPECIAL.len();
            let count = pairs.next_multiple_of(lanes as usize);
            for (maximum, constant_left) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let func = support::function(2, false, |b, params| {
                    let step = lanes as usize;
                    for start in (0..count).step_by(step) {
                        let at = |array: usize| ((array * count + start) * 4) as i32;
                        let x = b.ins().load(ty(lanes), flags(), params[0], at(0));
                        let mut y = b.ins().load(ty(lanes), flags(), params[0], at(1));
                        let mut x = x;
                        if constant_left {
                            let scalar = b.ins().f32const(-0.0);
                            y = x;
                            x = if lanes == 1 { scalar } else { b.ins().splat(ty(lanes), scalar) };
                        }
                        let chosen = if maximum {
                            choose_less(b, y, x, x, y)
                        } else {
                            choose_less(b, x, y, x, y)
                        };
                        b.ins().store(flags(), chosen, params[0], at(2));
                    }
                    b.ins().return_(&[]);
                });
                let floats = Floats::new(3 * count, |n| match n / count {
                    0 => SPECIAL[n % 8],
                    1 => SPECIAL[(n - count) / 8 % 8],
                    _ => 7.0,
                });
                let name = format!("{lanes} lanes, maximum {maximum}, left {constant_left}");
                let text = check(isa, &func, &name, floats, 0);
                let suffix = if lanes == 1 { "ss" } else { "ps" };
                let mnemonic = format!("v{}{suffix}", if maximum { "max" } else { "min" });
                assert_eq!(counts(&text, &mnemonic), count / lanes as usize, "{name}\n{text}");
                assert_eq!(text.matches("vcmp").count(), 0, "{name}\n{text}");
            }
        }
    }
}

/// The float conditions, each with what it says of `a < b`, `a > b`, `a == b` and of a NaN.
const FLOAT_CONDITIONS: [(FloatCC, [bool; 4]); 14] = [
    (FloatCC::Ordered, [true, true, true, false]),
    (FloatCC::Unordered, [false, false, false, true]),
    (FloatCC::Equal, [false, false, true, false]),
    (FloatCC::NotEqual, [true, true, false, true]),
    (FloatCC::OrderedNotEqual, [true, true, false, false]),
    (FloatCC::UnorderedOrEqual, [false, false, true, true]),
    (FloatCC::LessThan, [true, false, false, false]),
    (FloatCC::LessThanOrEqual, [true, false, true, false]),
    (FloatCC::GreaterThan, [false, true, false, false]),
    (FloatCC::GreaterThanOrEqual, [false, true, true, false]),
    (FloatCC::UnorderedOrLessThan, [true, false, false, true]),
    (FloatCC::UnorderedOrLessThanOrEqual, [true, false, true, true]),
    (FloatCC::UnorderedOrGreaterThan, [false, true, false, true]),
    (FloatCC::UnorderedOrGreaterThanOrEqual, [false, true, true, true]),
];

/// `fn(floats)`: at 0 the left sides, at `count` the right ones; at `2 * count` goes the comparison as
/// a value, at `3 * count` 1 or 2 chosen by it.
fn compared(cc: FloatCC, lanes: u32, count: usize) -> Function {
    support::function(2, false, |b, params| {
        let ty = ty(lanes);
        for start in (0..count).step_by(lanes as usize) {
            let at = |array: usize| ((array * count + start) * 4) as i32;
            let x = b.ins().load(ty, flags(), params[0], at(0));
            let y = b.ins().load(ty, flags(), params[0], at(1));
            let [one, two] = [1.0, 2.0].map(|value| {
                let scalar = b.ins().f32const(value);
                if lanes == 1 { scalar } else { b.ins().splat(ty, scalar) }
            });
            let holds = b.ins().fcmp(cc, x, y);
            let (value, chosen) = if lanes == 1 {
                (b.ins().uextend(types::I32, holds), b.ins().select(holds, one, two))
            } else {
                let mask = b.ins().bitcast(ty, MemFlagsData::new(), holds);
                (holds, b.ins().bitselect(mask, one, two))
            };
            b.ins().store(flags(), value, params[0], at(2));
            b.ins().store(flags(), chosen, params[0], at(3));
        }
        b.ins().return_(&[]);
    })
}

#[test]
fn float_conditions_tell_less_greater_equal_and_nan_apart() {
    let count = SPECIAL.len() * SPECIAL.len();
    for isa in support::usable_isas() {
        for lanes in all_lanes(isa) {
            for (cc, [less, greater, equal, unordered]) in FLOAT_CONDITIONS {
                let func = compared(cc, lanes, count);
                let code = clif_wide::compile(&func, isa, &mut Context::checked())
                    .unwrap_or_else(|error| panic!("{isa} {cc}: {error}"));
                let mut floats = Floats::new(4 * count, |n| match n / count {
                    0 => SPECIAL[n % 8],
                    1 => SPECIAL[(n - count) / 8],
                    _ => 7.0,
                });
                // SAFETY: the function accesses the four arrays of `count` floats, and the host has
                // the instruction set.
                unsafe { Executable::new(&func, &code).call([floats.address(), 0, 0, 0]) };
                for n in 0..count {
                    let (a, b) = (floats[n], floats[count + n]);
                    let expected = match a.partial_cmp(&b) {
                        Some(std::cmp::Ordering::Less) => less,
                        Some(std::cmp::Ordering::Greater) => greater,
                        Some(std::cmp::Ordering::Equal) => equal,
                        None => unordered,
                    };
                    let yes = if lanes == 1 { 1 } else { u32::MAX };
                    let value = floats[2 * count + n].to_bits();
                    let name = format!("{isa}, {lanes} lanes: {a} {cc} {b}");
                    assert_eq!(value, if expected { yes } else { 0 }, "{name}");
                    assert_eq!(floats[3 * count + n], if expected { 1.0 } else { 2.0 }, "{name}");
                }
            }
        }
    }
}

#[test]
fn non_temporal_stores_and_prefetches_are_single_instructions() {
    for isa in Isa::ALL {
        for lanes in support::lane_counts(isa) {
            let func = support::function(2, false, |b, params| {
                let ty = ty(lanes);
                let x = b.ins().load(ty, flags(), params[0], 0);
                let pointer = b.ins().iadd_imm_s(params[0], 64);
                let prefetch = Intrinsic::Prefetch.import(b.func, ty).expect("it exists");
                b.ins().call(prefetch, &[pointer]);
                let store = Intrinsic::StoreNonTemporal.import(b.func, ty).expect("it exists");
                b.ins().call(store, &[x, pointer]);
                b.ins().return_(&[]);
            });
            let text = check(isa, &func, &format!("{lanes} lanes"), Floats::noise(48, 2), 0);
            assert_eq!(counts(&text, "vmovntps"), 1, "{text}");
            assert_eq!(counts(&text, "prefetcht0"), 1, "{text}");
        }
    }
}

#[test]
fn upper_halves_are_clear_at_each_return_if_any_were_used() {
    for isa in Isa::ALL {
        for lanes in all_lanes(isa) {
            // The more vectors do not fit the registers, so there is a frame to leave.
            for vectors in [1, 40] {
                let func = two_returns(lanes, vectors);
                let name = format!("{lanes} lanes, {vectors} vectors");
                let floats = Floats::noise((vectors * lanes) as usize, 6);
                let text = check(isa, &func, &name, floats, 1);
                let mnemonics: Vec<&str> =
                    text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
                let ends: Vec<&[&str]> = mnemonics.split_inclusive(|m| *m == "ret").collect();
                assert_eq!(ends.len(), 2, "{isa} {name}\n{text}");
                for end in ends {
                    let leave = ["ret", "pop", "lea"];
                    let last = end.iter().rev().find(|mnemonic| !leave.contains(*mnemonic));
                    assert_eq!(last == Some(&"vzeroupper"), lanes > 4, "{isa} {name}\n{text}");
                    assert_eq!(end.contains(&"pop"), vectors > 32, "{isa} {name}\n{text}");
                }
            }
        }
    }
}

/// Loads vectors, and stores them in reverse order if n is not zero, turned by one if it is.
fn two_returns(lanes: u32, vectors: u32) -> Function {
    support::function(2, false, |b, params| {
        let at = |n: u32| (n % vectors * lanes * 4) as i32;
        let loaded: Vec<Value> =
            (0..vectors).map(|n| b.ins().load(ty(lanes), flags(), params[0], at(n))).collect();
        let blocks = [(); 2].map(|()| b.create_block());
        b.ins().brif(params[1], blocks[0], &[], blocks[1], &[]);
        for (block, reverse) in blocks.into_iter().zip([true, false]) {
            b.switch_to_block(block);
            for (n, vector) in (0..).zip(&loaded) {
                let to = if reverse { vectors - 1 - n } else { n + 1 };
                b.ins().store(flags(), *vector, params[0], at(to));
            }
            b.ins().return_(&[]);
        }
    })
}

#[test]
fn narrow_stores_write_their_bytes_and_no_others() {
    for isa in Isa::ALL {
        let func = support::function(2, false, |b, params| {
            let all = b.ins().iconst(types::I64, 0x1122_3344_5566_7788);
            let n = b.ins().bxor(params[1], all);
            b.ins().istore8(flags(), n, params[0], 1);
            b.ins().istore16(flags(), n, params[0], 5);
            b.ins().istore32(flags(), n, params[0], 9);
            for (ty, offset) in [(types::I8, 17), (types::I16, 21), (types::I32, 25)] {
                let narrow = b.ins().ireduce(ty, n);
                b.ins().store(flags(), narrow, params[0], offset);
            }
            b.ins().store(flags(), n, params[0], 33);
            b.ins().return_(&[]);
        });
        check(isa, &func, "narrow stores", Floats::noise(16, 4), 0x0123_4567_89ab_cdef);
    }
}

#[test]
fn adding_to_exponents_is_a_shift_and_an_addition() {
    for isa in Isa::ALL {
        for lanes in all_lanes(isa) {
            let integers = if lanes == 1 { types::I32 } else { ty(lanes).as_int() };
            let func = support::function(2, false, |b, params| {
                let bytes = lanes as i32 * 4;
                let x = b.ins().load(ty(lanes), flags(), params[0], 0);
                let y = b.ins().load(ty(lanes), flags(), params[0], bytes);
                // The number is an integer after this addition, in the lowest bits.
                let magic = b.ins().f32const(12_582_912.0);
                let magic = if lanes == 1 { magic } else { b.ins().splat(ty(lanes), magic) };
                let y = b.ins().fadd(y, magic);
                let [x, y] = [x, y].map(|v| b.ins().bitcast(integers, MemFlagsData::new(), v));
                let amount = b.ins().iconst(types::I32, 23);
                let shifted = b.ins().ishl(y, amount);
                let sum = b.ins().iadd(x, shifted);
                let sum = b.ins().bitcast(ty(lanes), MemFlagsData::new(), sum);
                b.ins().store(flags(), sum, params[0], 0);
                b.ins().return_(&[]);
            });
            let half = lanes as usize;
            let exponents = |n: usize| if n < half { 1.0 + n as f32 } else { (n % 7) as f32 - 3.0 };
            let name = format!("{lanes} lanes");
            check(isa, &func, &name, Floats::new(2 * half, exponents), 0);
        }
    }
}

#[test]
fn shuffles_of_whole_lanes_take_at_most_three_instructions() {
    for isa in Isa::ALL {
        for code in 0..4096u16 {
            let lanes = [0, 3, 6, 9].map(|shift| (code >> shift & 7) as u8);
            // All of one in eight, so that the test stays short.
            if code % 8 != (code >> 6) % 8 {
                continue;
            }
            let func =
                shuffle_function(&lanes.map(|n| [4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3]).concat());
            let name = format!("{lanes:?}");
            let text = check(isa, &func, &name, Floats::noise(12, 5), 0);
            let instructions =
                counts(&text, "vshufps") + counts(&text, "vunpcklps") + counts(&text, "vunpckhps");
            assert!((1..=3).contains(&instructions), "{name}\n{text}");
        }
        let transposing =
            shuffle_function(&[0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23]);
        let text = check(isa, &transposing, "unpack", Floats::noise(12, 5), 0);
        assert_eq!(counts(&text, "vunpcklps"), 1, "{text}");
    }
}

fn shuffle_function(mask: &[u8]) -> Function {
    support::function(2, false, |b, params| {
        let cast = MemFlagsData::new().with_endianness(Endianness::Little);
        let mask = b.func.dfg.immediates.push(ConstantData::from(mask));
        let [x, y] = [0, 16].map(|offset| {
            let vector = b.ins().load(types::F32X4, flags(), params[0], offset);
            b.ins().bitcast(types::I8X16, cast, vector)
        });
        let shuffled = b.ins().shuffle(x, y, mask);
        let shuffled = b.ins().bitcast(types::F32X4, cast, shuffled);
        b.ins().store(flags(), shuffled, params[0], 32);
        b.ins().return_(&[]);
    })
}

#[test]
fn loops_carry_twenty_eight_vectors_without_moves_on_avx512() {
    for isa in Isa::ALL {
        for lanes in support::lane_counts(isa) {
            let func = carrying(lanes, 28);
            let floats = Floats::noise(30 * lanes as usize, 9);
            let name = format!("{lanes} lanes");
            let text = check(isa, &func, &name, floats, 5);
            let code = clif_wide::compile(&func, isa, &mut Context::checked()).expect("compiled");
            match isa {
                Isa::Avx512 => assert_eq!(code.stats.spills + code.stats.moves, 0, "{text}"),
                _ => assert!(code.stats.spills > 0, "{text}"),
            }
        }
    }
}

/// `n` times: 28 vectors from memory, each plus a product.
fn carrying(lanes: u32, vectors: i32) -> Function {
    support::function(2, false, |b, params| {
        let ty = ty(lanes);
        let bytes = ty.bytes() as i32;
        let (body, exit) = (b.create_block(), b.create_block());
        let left = b.append_block_param(body, types::I64);
        let sums: Vec<Value> = (0..vectors).map(|_| b.append_block_param(body, ty)).collect();
        let mut args: Vec<BlockArg> = vec![params[1].into()];
        for n in 0..vectors {
            args.push(b.ins().load(ty, flags(), params[0], n * bytes).into());
        }
        b.ins().jump(body, &args);
        b.switch_to_block(body);
        let x = b.ins().load(ty, flags(), params[0], 28 * bytes);
        let y = b.ins().load(ty, flags(), params[0], 29 * bytes);
        let sums: Vec<Value> = sums.iter().map(|sum| b.ins().fma(x, y, *sum)).collect();
        let left = b.ins().iadd_imm_s(left, -1);
        let more = b.ins().icmp_imm_s(IntCC::NotEqual, left, 0);
        let mut again: Vec<BlockArg> = vec![left.into()];
        again.extend(sums.iter().map(|sum| BlockArg::from(*sum)));
        b.ins().brif(more, body, &again, exit, &[]);
        b.switch_to_block(exit);
        for (n, sum) in sums.iter().enumerate() {
            b.ins().store(flags(), *sum, params[0], n as i32 * bytes);
        }
        b.ins().return_(&[]);
    })
}

#[test]
fn a_folded_load_never_passes_a_store() {
    for isa in Isa::ALL {
        for lanes in all_lanes(isa) {
            let func = support::function(2, false, |b, params| {
                let bytes = lanes as i32 * 4;
                let before = b.ins().load(ty(lanes), flags(), params[0], 0);
                let other = b.ins().load(ty(lanes), flags(), params[0], bytes);
                b.ins().store(flags(), other, params[0], 0);
                let sum = b.ins().fadd(other, before);
                b.ins().store(flags(), sum, params[0], bytes);
                b.ins().return_(&[]);
            });
            check(isa, &func, &format!("{lanes} lanes"), Floats::noise(2 * lanes as usize, 3), 0);
        }
    }
}

#[test]
fn what_is_not_supported_is_an_error_that_names_the_instruction() {
    type Body = fn(&mut FunctionBuilder<'_>, Value);
    let bodies: [(&str, Body); 10] = [
        ("fmin", |b, p| {
            let x = b.ins().load(types::F32X8, flags(), p, 0);
            let least = b.ins().fmin(x, x);
            b.ins().store(flags(), least, p, 0);
        }),
        ("udiv", |b, p| {
            let quotient = b.ins().udiv(p, p);
            b.ins().store(flags(), quotient, p, 0);
        }),
        ("f64", |b, p| {
            let x = b.ins().load(types::F64, flags(), p, 0);
            b.ins().store(flags(), x, p, 0);
        }),
        ("i8x16", |b, p| {
            let x = b.ins().load(types::I8X16, flags(), p, 0);
            let sum = b.ins().iadd(x, x);
            b.ins().store(flags(), sum, p, 0);
        }),
        ("i16x8", |b, p| {
            let x = b.ins().load(types::I16X8, flags(), p, 0);
            b.ins().store(flags(), x, p, 0);
        }),
        ("shuffle", |b, p| {
            let x = b.ins().load(types::I8X16, flags(), p, 0);
            let mask = b.func.dfg.immediates.push(ConstantData::from(&[1u8; 16][..]));
            let shuffled = b.ins().shuffle(x, x, mask);
            b.ins().store(flags(), shuffled, p, 0);
        }),
        ("little-endian", |b, p| {
            let x = b.ins().load(types::I32, flags().with_endianness(Endianness::Big), p, 0);
            b.ins().store(flags(), x, p, 0);
        }),
        // This one would be folded into the addition.
        ("little-endian", |b, p| {
            let big = flags().with_endianness(Endianness::Big);
            let x = b.ins().load(types::F32X4, flags(), p, 0);
            let y = b.ins().load(types::F32X4, big, p, 16);
            let sum = b.ins().fadd(x, y);
            b.ins().store(flags(), sum, p, 0);
        }),
        ("little-endian", |b, p| {
            b.ins().store(flags().with_endianness(Endianness::Big), p, p, 0);
        }),
        ("popcnt", |b, p| {
            let bits = b.ins().popcnt(p);
            b.ins().store(flags(), bits, p, 0);
        }),
    ];
    for isa in Isa::ALL {
        for (name, body) in bodies {
            let func = support::function(1, false, |b, params| {
                body(b, params[0]);
                b.ins().return_(&[]);
            });
            let error = clif_wide::compile(&func, isa, &mut Context::new()).expect_err(name);
            assert!(error.to_string().contains(name), "{isa} {name}: {error}");
        }
    }
}

#[test]
fn sixteen_lanes_need_avx512() {
    let func = carrying(16, 1);
    let error = clif_wide::compile(&func, Isa::Avx2, &mut Context::new()).expect_err("too wide");
    assert!(matches!(error, Error::Type { ty: types::F32X16, isa: Isa::Avx2, .. }), "{error}");
}

#[test]
fn signatures_beyond_the_abi_are_errors() {
    let refuse = |change: fn(&mut Function), part: &str| {
        let mut func = carrying(4, 1);
        change(&mut func);
        let error = clif_wide::compile(&func, Isa::Avx2, &mut Context::new()).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    };
    refuse(|func| func.signature.call_conv = CallConv::WindowsFastcall, "windows_fastcall");
    refuse(|func| func.signature.params.push(AbiParam::new(types::F32X4)), "f32x4");
    refuse(|func| func.signature.params = vec![AbiParam::new(types::I64); 7], "7 parameters");
    refuse(|func| func.signature.returns = vec![AbiParam::new(types::I64); 2], "2 results");
}

#[test]
fn unused_constants_are_not_loaded() {
    let func = support::function(1, false, |b, params| {
        constant(b, types::F32X8, 3.0);
        let x = b.ins().load(types::F32X8, flags(), params[0], 0);
        b.ins().fadd(x, x);
        b.ins().return_(&[]);
    });
    let code = clif_wide::compile(&func, Isa::Avx2, &mut Context::checked()).expect("compiled");
    assert_eq!(listing::disassembly(&code).lines().count(), 1, "{}", listing::disassembly(&code));
}

#[test]
fn chains_that_outnumber_the_registers_keep_their_sums() {
    const ROUNDS: usize = 5;
    for isa in Isa::ALL {
        for (lanes, chains) in support::lane_counts(isa).flat_map(|n| [(n, 14), (n, 20), (n, 45)]) {
            let bytes = vector_type(lanes).bytes() as i32;
            let func = support::function(2, false, |b, params| {
                let load = |b: &mut FunctionBuilder<'_>, n: usize| {
                    b.ins().load(vector_type(lanes), flags(), params[0], n as i32 * bytes)
                };
                let mut sums: Vec<Value> = (0..chains).map(|n| load(b, n)).collect();
                for round in 0..ROUNDS {
                    let factor = load(b, round);
                    for (n, sum) in sums.iter_mut().enumerate() {
                        let other = load(b, (n * 7 + round) % chains);
                        *sum = b.ins().fma(factor, other, *sum);
                    }
                }
                for (n, sum) in sums.into_iter().enumerate() {
                    b.ins().store(flags(), sum, params[0], n as i32 * bytes);
                }
                b.ins().return_(&[]);
            });
            // Small integers, so that the sums stay exact and finite.
            let floats = Floats::new(chains * lanes as usize, |n| (n % 5) as f32 - 2.0);
            let text = check(isa, &func, &format!("{chains} chains"), floats, 0);
            let spills = text.contains("[rsp");
            assert_eq!(spills, chains > 32 || (isa == Isa::Avx2 && chains > 16), "{text}");
        }
    }
}
