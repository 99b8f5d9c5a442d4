//! Compiled with all checks, run, compared with the interpreter: random functions and given ones.

use super::interpreter::{self, Memory};
use super::jit::{Executable, Floats};
use super::listing;
use super::random::{INPUT, OUTPUT, random_function};
use clif_wide::{Code, Context, Isa, Stats};
use cranelift_codegen::ir::Function;
use cranelift_codegen::settings;
use rand::Rng;

/// What came of a function; everything else panics.
pub(crate) enum Outcome {
    /// It did what it should.
    Equal(Stats),
    /// It computed a NaN, whose bits are not specified.
    Undefined,
    /// This computer lacks the instruction set: it was compiled only.
    Compiled,
}

/// Compiles `fn(floats, n)` and, where it can be run, compares the floats with what the interpreter
/// leaves, bit by bit.
pub(crate) fn check(
    isa: Isa,
    func: &Function,
    name: &str,
    mut floats: Floats,
    n: u64,
    context: &mut Context,
) -> Code {
    let code = clif_wide::compile(func, isa, context)
        .unwrap_or_else(|error| panic!("{isa} {name}: {error}\n{func}"));
    if isa.is_usable() {
        let bytes = floats.to_vec().iter().flat_map(|float| float.to_le_bytes()).collect();
        let mut memory = Memory { base: floats.address(), bytes };
        interpreter::run(func, &[floats.address(), n], &mut memory);
        // SAFETY: the interpreter made the same accesses and checks that they are within the floats.
        unsafe { Executable::new(func, &code).call([floats.address(), n, 0, 0]) };
        let left: Vec<u32> = floats.to_vec().iter().map(|float| float.to_bits()).collect();
        let word = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("4 bytes"));
        let expected: Vec<u32> = memory.bytes.chunks(4).map(word).collect();
        assert_eq!(left, expected, "{isa} {name}\n{func}\n{}", listing::disassembly(&code));
    }
    code
}

/// Makes a function from random numbers and compares it with the interpreter.
pub(crate) fn compare(
    rng: &mut dyn Rng,
    isa: Isa,
    lanes: u32,
    context: &mut Context,
    name: &str,
) -> Outcome {
    let func = random_function(rng, lanes);
    let flags = settings::Flags::new(settings::builder());
    cranelift_codegen::verify_function(&func, &flags)
        .unwrap_or_else(|errors| panic!("{name}: {errors}\n{func}"));
    let code = clif_wide::compile(&func, isa, context)
        .unwrap_or_else(|error| panic!("{name}: {error}\n{func}"));
    if !isa.is_usable() {
        return Outcome::Compiled;
    }

    let mut floats = Floats::noise(INPUT + OUTPUT, rng.next_u32());
    let base = floats.address();
    let args = [base, base + 4 * INPUT as u64, rng.next_u64(), 3];
    let bytes = floats.to_vec().iter().flat_map(|float| float.to_le_bytes()).collect();
    let mut memory = Memory { base, bytes };
    let expected = interpreter::run(&func, &args, &mut memory);
    if expected.nan {
        return Outcome::Undefined;
    }
    let result = expected.result.expect("a result");
    // SAFETY: the function accesses what the interpreter did, which checks that it is within the
    // floats; the host has the instruction set.
    let got = unsafe { Executable::new(&func, &code).call(args) };
    let word = |b: &[u8]| u32::from_le_bytes(b.try_into().expect("4 bytes"));
    let left = floats.to_vec();
    let mut pairs = left.iter().map(|float| float.to_bits()).zip(memory.bytes.chunks(4).map(word));
    let differs = pairs.position(|(got, expected)| got != expected);
    assert!(
        got == result && differs.is_none(),
        "{name}: result {got:#x}, expected {result:#x}; first different float {differs:?}\n\
         {func}\n{}",
        listing::disassembly(&code)
    );
    Outcome::Equal(code.stats)
}

/// Random numbers that are given bytes, and when these are used up, always the same ones.
pub(crate) struct Bytes<'a> {
    bytes: std::slice::Iter<'a, u8>,
    then: rand::rngs::StdRng,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter(), then: rand::SeedableRng::seed_from_u64(0) }
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.next() {
            Some(byte) => *byte,
            None => self.then.next_u32() as u8,
        }
    }
}

impl rand::TryRng for Bytes<'_> {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes([(); 4].map(|()| self.byte())))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes([(); 8].map(|()| self.byte())))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill_with(|| self.byte());
        Ok(())
    }
}

/// What the fuzzer runs: the first byte chooses the instruction set and the lanes, the others the
/// function.
pub(crate) fn fuzz(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let isa = Isa::ALL[usize::from(first & 1)];
    let lanes: Vec<u32> = super::lane_counts(isa).collect();
    let lanes = lanes[usize::from(first >> 1) % lanes.len()];
    let name = format!("{isa}, {lanes} lanes, {data:02x?}");
    compare(&mut Bytes::new(rest), isa, lanes, &mut Context::checked(), &name);
}
