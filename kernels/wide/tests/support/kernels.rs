//! Small kernels in CLIF, as a generator would write them.

use super::function;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{BlockArg, Function, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

pub(crate) fn vector_type(lanes: u32) -> Type {
    types::F32.by(lanes).expect("a power of two")
}

/// A splat of a constant.
pub(crate) fn constant(b: &mut FunctionBuilder<'_>, ty: Type, value: f32) -> Value {
    let scalar = b.ins().f32const(value);
    b.ins().splat(ty, scalar)
}

/// `bitselect(a cc b, a, b)`.
pub(crate) fn choose(b: &mut FunctionBuilder<'_>, cc: FloatCC, x: Value, y: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    let mask = b.ins().fcmp(cc, x, y);
    let mask = b.ins().bitcast(ty, MemFlagsData::new(), mask);
    b.ins().bitselect(mask, x, y)
}

pub(crate) fn relu6(b: &mut FunctionBuilder<'_>, x: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    let zero = constant(b, ty, 0.0);
    let six = constant(b, ty, 6.0);
    let x = choose(b, FloatCC::GreaterThan, x, zero);
    choose(b, FloatCC::LessThan, x, six)
}

/// A register tile of a matrix product: `output[i][j] = bias[i] + sum over c of weights[c][i] *
/// input[c][j]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    pub(crate) lanes: u32,
    pub(crate) rows: usize,
    /// Columns in vectors.
    pub(crate) vectors: usize,
    pub(crate) depth: usize,
    pub(crate) unroll: usize,
    /// Start from the bias and end with relu6; else start from zero.
    pub(crate) epilogue: bool,
}

impl Tile {
    pub(crate) fn columns(&self) -> usize {
        self.vectors * self.lanes as usize
    }

    pub(crate) fn flops(&self) -> f64 {
        2.0 * (self.rows * self.columns() * self.depth) as f64
    }

    /// `fn(weights, input, output, bias)`.
    pub(crate) fn function(&self) -> Function {
        let (rows, vectors) = (self.rows, self.vectors);
        let ty = vector_type(self.lanes);
        let bytes = ty.bytes() as i32;
        let row_bytes = vectors as i32 * bytes;
        function(4, false, |b, params| {
            let [weights, input, output, bias] = params else { unreachable!() };
            let (body, exit) = (b.create_block(), b.create_block());
            let weight = b.append_block_param(body, types::I64);
            let pixel = b.append_block_param(body, types::I64);
            let mut sums: Vec<Value> =
                (0..rows * vectors).map(|_| b.append_block_param(body, ty)).collect();
            let results: Vec<Value> =
                (0..rows * vectors).map(|_| b.append_block_param(exit, ty)).collect();

            let end = b.ins().iadd_imm_s(*weights, (self.depth * rows * 4) as i64);
            let mut args: Vec<BlockArg> = vec![(*weights).into(), (*input).into()];
            for row in 0..rows {
                let start = if self.epilogue {
                    let scalar = b.ins().load(types::F32, flags(), *bias, row as i32 * 4);
                    b.ins().splat(ty, scalar)
                } else {
                    constant(b, ty, 0.0)
                };
                args.extend((0..vectors).map(|_| BlockArg::from(start)));
            }
            b.ins().jump(body, &args);

            b.switch_to_block(body);
            for step in 0..self.unroll as i32 {
                let offset = |row: usize| (step * rows as i32 + row as i32) * 4;
                let pixels: Vec<Value> = (0..vectors as i32)
                    .map(|v| b.ins().load(ty, flags(), pixel, step * row_bytes + v * bytes))
                    .collect();
                for row in 0..rows {
                    let scalar = b.ins().load(types::F32, flags(), weight, offset(row));
                    let splat = b.ins().splat(ty, scalar);
                    for v in 0..vectors {
                        let sum = &mut sums[row * vectors + v];
                        *sum = b.ins().fma(pixels[v], splat, *sum);
                    }
                }
            }
            let next_weight = b.ins().iadd_imm_s(weight, (self.unroll * rows * 4) as i64);
            let next_pixel = b.ins().iadd_imm_s(pixel, self.unroll as i64 * row_bytes as i64);
            let more = b.ins().icmp(IntCC::NotEqual, next_weight, end);
            let mut again: Vec<BlockArg> = vec![next_weight.into(), next_pixel.into()];
            again.extend(sums.iter().map(|v| BlockArg::from(*v)));
            let done: Vec<BlockArg> = sums.iter().map(|v| (*v).into()).collect();
            b.ins().brif(more, body, &again, exit, &done);

            b.switch_to_block(exit);
            for row in 0..rows {
                for v in 0..vectors {
                    let mut result = results[row * vectors + v];
                    if self.epilogue {
                        result = relu6(b, result);
                    }
                    let offset = row as i32 * row_bytes + v as i32 * bytes;
                    b.ins().store(flags(), result, *output, offset);
                }
            }
            b.ins().return_(&[]);
        })
    }

    /// The scalar oracle.
    pub(crate) fn reference(&self, weights: &[f32], input: &[f32], bias: &[f32]) -> Vec<f32> {
        let mut output = Vec::new();
        for row in 0..self.rows {
            for column in 0..self.columns() {
                let mut sum = if self.epilogue { bias[row] } else { 0.0 };
                for c in 0..self.depth {
                    let weight = weights[c * self.rows + row];
                    sum = input[c * self.columns() + column].mul_add(weight, sum);
                }
                if self.epilogue {
                    sum = if sum > 0.0 { sum } else { 0.0 };
                    sum = if sum < 6.0 { sum } else { 6.0 };
                }
                output.push(sum);
            }
        }
        output
    }
}
