//! A function under construction: pointers, loops, and vectors of any width.
//!
//! Everything is emitted in the order in which it shall run; backends keep that order.

use std::ops::Range;

use clif_wide::intrinsics::Intrinsic;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    Block, BlockArg, FuncRef, InstBuilder, MemFlags, MemFlagsData, Opcode, Type, Value, types,
};
use cranelift_frontend::FunctionBuilder;

use crate::activation::Arithmetic;
use crate::cover::Slot;
use crate::target::Target;

/// Bytes of an element.
const ELEMENT: i64 = 4;

/// An address with a constant offset that loads and stores take in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pointer {
    base: Value,
    bytes: i64,
}

impl Pointer {
    pub(super) fn new(base: Value) -> Self {
        Self { base, bytes: 0 }
    }

    /// The pointer `elements` further on.
    pub(super) fn at(self, elements: usize) -> Self {
        self.offset(elements as isize)
    }

    /// The pointer `elements` further on, or back.
    pub(super) fn offset(self, elements: isize) -> Self {
        Self { bytes: self.bytes + ELEMENT * elements as i64, ..self }
    }
}

/// The last tile of an image, which has fewer rows than the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    /// Number of the tile at hand, known at run time.
    pub(super) task: Value,
    /// Number of the last one.
    pub(super) number: usize,
    /// Its rows.
    pub(super) rows: usize,
}

/// How often something is done in a whole tile and, where that differs, in the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) whole: usize,
    pub(super) last: Option<(Last, usize)>,
}

/// The vector type of so many lanes; one lane is a scalar.
pub(super) fn vector_type(lanes: usize) -> Type {
    types::F32.by(lanes as u32).expect("lane counts are powers of two up to 16")
}

fn integer_type(lanes: usize) -> Type {
    types::I32.by(lanes as u32).expect("lane counts are powers of two up to 16")
}

/// Builds one function.
pub(super) struct Emitter<'a> {
    pub(super) builder: FunctionBuilder<'a>,
    /// Whether the wide backend compiles the function, so that its intrinsics exist.
    pub(super) wide: bool,
    /// Lanes of the target's widest vectors, for copies.
    pub(super) lanes: usize,
    /// Whether the target has fused multiply-add.
    fma: bool,
    /// Flags of all loads and stores.
    flags: MemFlags,
    /// Intrinsics that the function has declared, by their lanes: a few.
    intrinsics: Vec<((Intrinsic, usize), FuncRef)>,
    /// Constants of the block at hand, by their lanes and bits. The wide backend makes them anew at
    /// each use.
    constants: Vec<((usize, u32), Value)>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(builder: FunctionBuilder<'a>, target: &Target) -> Self {
        let wide = target.isa.wide().is_some();
        let flags = builder.func.dfg.mem_flags.insert_unchecked(MemFlagsData::new().with_notrap());
        Self {
            builder,
            wide,
            lanes: target.lanes.into(),
            fma: target.isa.has_fma(),
            flags,
            intrinsics: Vec::new(),
            constants: Vec::new(),
        }
    }

    fn switch_to(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.constants.clear();
    }

    /// A 64-bit constant.
    pub(super) fn integer(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(types::I64, value)
    }

    /// `value + constant`.
    pub(super) fn add(&mut self, value: Value, constant: i64) -> Value {
        if constant == 0 { value } else { self.builder.ins().iadd_imm_s(value, constant) }
    }

    /// `pointer + index * elements`.
    pub(super) fn index(&mut self, pointer: Pointer, index: Value, elements: usize) -> Pointer {
        let bytes = self.builder.ins().imul_imm_s(index, ELEMENT * elements as i64);
        Pointer { base: self.builder.ins().iadd(pointer.base, bytes), ..pointer }
    }

    /// No address: a pointer that counts elements, to be added to others.
    pub(super) fn distance(&mut self) -> Pointer {
        Pointer::new(self.integer(0))
    }

    /// The pointer a distance further on.
    pub(super) fn plus(&mut self, pointer: Pointer, distance: Pointer) -> Pointer {
        let base = self.builder.ins().iadd(pointer.base, distance.base);
        Pointer { base, bytes: pointer.bytes + distance.bytes }
    }

    /// The address of a pointer as one value.
    fn address(&mut self, pointer: Pointer) -> Value {
        self.add(pointer.base, pointer.bytes)
    }

    /// Base and offset of a load or store; offsets that no instruction holds are added first.
    fn operand(&mut self, pointer: Pointer) -> (Value, i32) {
        match i32::try_from(pointer.bytes) {
            Ok(offset) => (pointer.base, offset),
            Err(_) => (self.address(pointer), 0),
        }
    }

    pub(super) fn load(&mut self, lanes: usize, from: Pointer) -> Value {
        self.load_type(vector_type(lanes), from)
    }

    /// A vector of which only some lanes are in memory, zeros in the others. The range counts from
    /// lane 0, and may end before it or begin after the last.
    pub(super) fn load_inside(
        &mut self,
        lanes: usize,
        from: Pointer,
        inside: Range<isize>,
    ) -> Value {
        let mask = (0..lanes).filter(|&lane| inside.contains(&(lane as isize)));
        let mask: u16 = mask.map(|lane| 1 << lane).sum();
        if mask.count_ones() as usize == lanes {
            return self.load(lanes, from);
        }
        let zeros = self.constant(lanes, 0.0);
        if mask == 0 {
            return zeros;
        }
        if self.wide {
            let address = self.address(from);
            let load = Intrinsic::LoadLanes(mask);
            return self.intrinsic(load, lanes, &[address]).expect("a load has a result");
        }
        (0..lanes).filter(|lane| mask >> lane & 1 == 1).fold(zeros, |vector, lane| {
            let element = self.load(1, from.at(lane));
            self.builder.ins().insertlane(vector, element, lane as u8)
        })
    }

    /// The vector of a slot: zeros in surplus lanes, which are not read.
    pub(super) fn load_slot(&mut self, slot: &Slot, from: Pointer) -> Value {
        self.load_inside(slot.lanes, from, 0..slot.valid as isize)
    }

    /// Stores the vector of a slot, but for surplus lanes.
    pub(super) fn store_slot(&mut self, value: Value, slot: &Slot, to: Pointer) {
        if slot.surplus() == 0 {
            return self.store(value, to);
        }
        if self.wide {
            let mask = (0..slot.valid).map(|lane| 1 << lane).sum();
            let address = self.address(to);
            self.intrinsic(Intrinsic::StoreLanes(mask), slot.lanes, &[value, address]);
            return;
        }
        for lane in 0..slot.valid {
            let element = self.builder.ins().extractlane(value, lane as u8);
            self.store(element, to.at(lane));
        }
    }

    /// A vector whose 128-bit lanes come from addresses of their own; up to four lanes, from one.
    pub(super) fn load_parts(&mut self, lanes: usize, parts: &[Pointer]) -> Value {
        if let &[from] = parts {
            return self.load(lanes, from);
        }
        let addresses: Vec<Value> = parts.iter().map(|&part| self.address(part)).collect();
        let loaded = self.intrinsic(Intrinsic::LoadParts, lanes, &addresses);
        loaded.expect("a load has a result")
    }

    /// The opposite of [`Emitter::load_parts`].
    pub(super) fn store_parts(&mut self, value: Value, lanes: usize, parts: &[Pointer]) {
        if let &[to] = parts {
            return self.store(value, to);
        }
        let addresses = parts.iter().map(|&part| self.address(part));
        let arguments: Vec<Value> = std::iter::once(value).chain(addresses).collect();
        self.intrinsic(Intrinsic::StoreParts, lanes, &arguments);
    }

    /// Emits an intrinsic of the wide backend on vectors of so many lanes.
    pub(super) fn intrinsic(
        &mut self,
        intrinsic: Intrinsic,
        lanes: usize,
        arguments: &[Value],
    ) -> Option<Value> {
        let what = (intrinsic, lanes);
        let known = self.intrinsics.iter().find(|(known, _)| *known == what);
        let function = match known {
            Some((_, function)) => *function,
            None => {
                let imported = intrinsic.import(self.builder.func, vector_type(lanes));
                let function = imported.expect("the vectors are wide enough");
                self.intrinsics.push((what, function));
                function
            }
        };
        let call = self.builder.ins().call(function, arguments);
        self.builder.inst_results(call).first().copied()
    }

    /// The first pointer where the condition holds, else the second.
    pub(super) fn choose(
        &mut self,
        condition: Value,
        then: Pointer,
        otherwise: Pointer,
    ) -> Pointer {
        let [then, otherwise] = [then, otherwise].map(|pointer| self.address(pointer));
        Pointer::new(self.builder.ins().select(condition, then, otherwise))
    }

    /// A 64-bit integer from memory.
    pub(super) fn load_integer(&mut self, from: Pointer) -> Value {
        self.load_type(types::I64, from)
    }

    /// Keeps a pointer in memory, two elements of it.
    pub(super) fn store_pointer(&mut self, pointer: Pointer, to: Pointer) {
        let address = self.address(pointer);
        self.store(address, to);
    }

    fn load_type(&mut self, ty: Type, from: Pointer) -> Value {
        let (base, offset) = self.operand(from);
        // Not `load`, which looks for the number of its flags each time.
        let (load, dfg) =
            self.builder.ins().Load(Opcode::Load, ty, self.flags, offset.into(), base);
        dfg.first_result(load)
    }

    pub(super) fn store(&mut self, value: Value, to: Pointer) {
        let (base, offset) = self.operand(to);
        let ty = self.builder.func.dfg.value_type(value);
        self.builder.ins().Store(Opcode::Store, ty, self.flags, offset.into(), value, base);
    }

    /// One element from memory in every lane.
    pub(super) fn broadcast(&mut self, lanes: usize, from: Pointer) -> Value {
        let element = self.load(1, from);
        self.splat(lanes, element)
    }

    /// The same constant in every lane.
    pub(super) fn constant(&mut self, lanes: usize, value: f32) -> Value {
        let what = (lanes, value.to_bits());
        if let Some((_, known)) = self.constants.iter().find(|(known, _)| *known == what) {
            return *known;
        }
        let element = self.builder.ins().f32const(value);
        let constant = self.splat(lanes, element);
        if self.wide {
            self.constants.push((what, constant));
        }
        constant
    }

    fn splat(&mut self, lanes: usize, element: Value) -> Value {
        if lanes == 1 { element } else { self.builder.ins().splat(vector_type(lanes), element) }
    }

    /// `a * b + c`, rounded once where the target can.
    pub(super) fn mul_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        if self.fma {
            return self.builder.ins().fma(a, b, c);
        }
        let product = self.builder.ins().fmul(a, b);
        self.builder.ins().fadd(product, c)
    }

    /// The operations of activations over vectors of so many lanes.
    pub(super) fn arithmetic(&mut self, lanes: usize) -> VectorArithmetic<'_, 'a> {
        VectorArithmetic { emitter: self, lanes }
    }

    /// Runs `body` for `count` steps; each pointer moves on by its elements from step to step.
    pub(super) fn for_each(
        &mut self,
        count: usize,
        pointers: &[(Pointer, usize)],
        mut body: impl FnMut(&mut Self, &[Pointer]),
    ) {
        self.for_each_carrying(count, pointers, &[], |emitter, pointers, _| {
            body(emitter, pointers);
            Vec::new()
        });
    }

    /// As [`Emitter::for_each`], with values that each step takes from the one before; returns
    /// those of the last step. The first pointer ends the loop, so its elements must not be zero.
    pub(super) fn for_each_carrying(
        &mut self,
        count: usize,
        pointers: &[(Pointer, usize)],
        carried: &[Value],
        mut body: impl FnMut(&mut Self, &[Pointer], &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        if count == 0 {
            return carried.to_vec();
        }
        if count == 1 {
            let starts: Vec<Pointer> = pointers.iter().map(|&(pointer, _)| pointer).collect();
            return body(self, &starts, carried);
        }
        self.run_loop(pointers, carried, body, |emitter, start, step| {
            emitter.add(start, step * count as i64)
        })
    }

    /// As [`Emitter::for_each_carrying`], of a count that depends on the tile; gives no values.
    pub(super) fn for_each_counted(
        &mut self,
        count: Count,
        pointers: &[(Pointer, usize)],
        carried: &[Value],
        mut body: impl FnMut(&mut Self, &[Pointer], &[Value]) -> Vec<Value>,
    ) {
        let Some((last, fewer)) = count.last.filter(|(_, fewer)| *fewer != count.whole) else {
            self.for_each_carrying(count.whole, pointers, carried, body);
            return;
        };
        if count.whole == 0 || fewer == 0 {
            return self.either(count.whole, Some((last, fewer)), |emitter, count| {
                emitter.for_each_carrying(*count, pointers, carried, &mut body);
            });
        }
        self.run_loop(pointers, carried, body, |emitter, start, step| {
            let [fewer, whole] =
                [fewer, count.whole].map(|count| emitter.add(start, step * count as i64));
            let is_last = emitter.equals(last.task, last.number);
            emitter.builder.ins().select(is_last, fewer, whole)
        });
    }

    /// Emits `body` for what is done in a whole tile and for what is done in the last one, each for
    /// its own; once, where that is the same.
    pub(super) fn either<T: PartialEq>(
        &mut self,
        whole: T,
        last: Option<(Last, T)>,
        mut body: impl FnMut(&mut Self, &T),
    ) {
        let Some((last, other)) = last.filter(|(_, other)| *other != whole) else {
            return body(self, &whole);
        };
        let is_last = self.equals(last.task, last.number);
        self.branch(is_last, |emitter, is_last| {
            body(emitter, if is_last { &other } else { &whole });
        });
    }

    /// A loop whose first pointer ends it, where `end` says, after one step or more.
    fn run_loop(
        &mut self,
        pointers: &[(Pointer, usize)],
        carried: &[Value],
        mut body: impl FnMut(&mut Self, &[Pointer], &[Value]) -> Vec<Value>,
        end: impl FnOnce(&mut Self, Value, i64) -> Value,
    ) -> Vec<Value> {
        let starts: Vec<Value> =
            pointers.iter().map(|&(pointer, _)| self.address(pointer)).collect();
        let steps: Vec<i64> =
            pointers.iter().map(|&(_, elements)| ELEMENT * elements as i64).collect();
        let end = end(self, starts[0], steps[0]);

        let header = self.builder.create_block();
        let exit = self.builder.create_block();
        let arguments: Vec<BlockArg> =
            starts.iter().chain(carried).map(|&value| value.into()).collect();
        let moving: Vec<Value> =
            starts.iter().map(|_| self.builder.append_block_param(header, types::I64)).collect();
        let carried: Vec<Value> = carried
            .iter()
            .map(|&value| {
                let ty = self.builder.func.dfg.value_type(value);
                self.builder.append_block_param(header, ty)
            })
            .collect();
        self.builder.ins().jump(header, &arguments);

        self.switch_to(header);
        let here: Vec<Pointer> = moving.iter().map(|&base| Pointer::new(base)).collect();
        let carried = body(self, &here, &carried);
        let next: Vec<Value> =
            moving.iter().zip(&steps).map(|(&base, &step)| self.add(base, step)).collect();
        let again = self.builder.ins().icmp(IntCC::NotEqual, next[0], end);
        let arguments: Vec<BlockArg> =
            next.iter().chain(&carried).map(|&value| value.into()).collect();
        self.builder.ins().brif(again, header, &arguments, exit, &[]);
        self.switch_to(exit);
        carried
    }

    /// Runs `body` with an index from `first`, `count` times, both known at run time.
    pub(super) fn for_range(
        &mut self,
        first: [Value; 2],
        count: Value,
        wrap: usize,
        mut body: impl FnMut(&mut Self, [Value; 2]),
    ) {
        let header = self.builder.create_block();
        let start = self.builder.create_block();
        let exit = self.builder.create_block();
        let [outer, inner, left] =
            [(); 3].map(|()| self.builder.append_block_param(header, types::I64));
        self.builder.ins().jump(header, &[first[0].into(), first[1].into(), count.into()]);
        self.switch_to(header);
        self.builder.ins().brif(left, start, &[], exit, &[]);
        self.switch_to(start);
        body(self, [outer, inner]);
        let next = self.add(inner, 1);
        let wraps = self.builder.ins().icmp_imm_s(IntCC::Equal, next, wrap as i64);
        let zero = self.integer(0);
        let next_inner = self.builder.ins().select(wraps, zero, next);
        let next_image = self.add(outer, 1);
        let next_outer = self.builder.ins().select(wraps, next_image, outer);
        let left = self.add(left, -1);
        self.builder.ins().jump(header, &[next_outer.into(), next_inner.into(), left.into()]);
        self.switch_to(exit);
    }

    /// Runs the body that goes with a condition; `body` emits both, told which.
    pub(super) fn branch(&mut self, condition: Value, mut body: impl FnMut(&mut Self, bool)) {
        let [then_block, else_block, join] = [(); 3].map(|()| self.builder.create_block());
        self.builder.ins().brif(condition, then_block, &[], else_block, &[]);
        for (block, holds) in [(then_block, true), (else_block, false)] {
            self.switch_to(block);
            body(self, holds);
            self.builder.ins().jump(join, &[]);
        }
        self.switch_to(join);
    }

    /// Whether `value` is the constant.
    pub(super) fn equals(&mut self, value: Value, constant: usize) -> Value {
        self.builder.ins().icmp_imm_s(IntCC::Equal, value, constant as i64)
    }

    /// Whether a value, taken as unsigned, is below the constant: a negative one is not.
    pub(super) fn is_below(&mut self, value: Value, constant: usize) -> Value {
        self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, value, constant as i64)
    }
}

/// Activations over vectors of a function under construction.
pub(super) struct VectorArithmetic<'e, 'a> {
    emitter: &'e mut Emitter<'a>,
    lanes: usize,
}

impl VectorArithmetic<'_, '_> {
    /// `if a < b { then } else { otherwise }`, lane by lane.
    fn choose_less(&mut self, a: Value, b: Value, then: Value, otherwise: Value) -> Value {
        let builder = &mut self.emitter.builder;
        let less = builder.ins().fcmp(FloatCC::LessThan, a, b);
        if self.lanes == 1 {
            return builder.ins().select(less, then, otherwise);
        }
        let mask = builder.ins().bitcast(vector_type(self.lanes), MemFlagsData::new(), less);
        builder.ins().bitselect(mask, then, otherwise)
    }
}

impl Arithmetic for VectorArithmetic<'_, '_> {
    type Value = Value;

    fn constant(&mut self, value: f32) -> Value {
        self.emitter.constant(self.lanes, value)
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.emitter.builder.ins().fadd(a, b)
    }

    fn sub(&mut self, a: Value, b: Value) -> Value {
        self.emitter.builder.ins().fsub(a, b)
    }

    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.emitter.builder.ins().fmul(a, b)
    }

    fn div(&mut self, a: Value, b: Value) -> Value {
        self.emitter.builder.ins().fdiv(a, b)
    }

    fn mul_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.emitter.mul_add(a, b, c)
    }

    fn min(&mut self, a: Value, b: Value) -> Value {
        self.choose_less(a, b, a, b)
    }

    fn max(&mut self, a: Value, b: Value) -> Value {
        self.choose_less(b, a, a, b)
    }

    fn add_to_exponent(&mut self, a: Value, b: Value) -> Value {
        let (integers, floats) = (integer_type(self.lanes), vector_type(self.lanes));
        let builder = &mut self.emitter.builder;
        let flags = MemFlagsData::new();
        let a = builder.ins().bitcast(integers, flags, a);
        let b = builder.ins().bitcast(integers, flags, b);
        let amount = builder.ins().iconst(types::I32, 23);
        let shifted = builder.ins().ishl(b, amount);
        let sum = builder.ins().iadd(a, shifted);
        builder.ins().bitcast(floats, flags, sum)
    }
}
