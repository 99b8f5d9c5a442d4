//! Moving between planes and pixels, by four pixels of as many channels as a vector has lanes.
//!
//! Each 128-bit lane transposes a block of four by four: on planes, four pixels of one channel go in
//! or out of it, at an address of their own. Of a masked vector, only the channels that exist have
//! planes; as pixels, there is room for all lanes.

use cranelift_codegen::ir::Value;

use super::emitter::{Count, Emitter, Pointer};
use super::shuffle::{self, Shuffle};
use crate::cover::{Cover, Slot, WIDTHS};
use crate::schedule::Tail;

/// Pixels, and channels of a 128-bit lane.
const BLOCK: usize = 4;

/// A run of pixels of a few neighbouring channels, as planes or as pixels.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// First pixel of the first channel.
    pub(super) start: Pointer,
    /// From one channel (of planes) or one pixel (of pixels) to the next.
    pub(super) pitch: usize,
}

impl Run {
    fn row(self, row: usize) -> Pointer {
        self.start.at(row * self.pitch)
    }
}

/// Writes planes as pixels.
pub(super) fn to_pixels(
    emitter: &mut Emitter<'_>,
    slot: &Slot,
    pixels: usize,
    planes: Run,
    output: Run,
) {
    let moving = [(planes.start, 1), (output.start, output.pitch)];
    let pixels = Count { whole: pixels, last: None };
    over_pixels(emitter, slot, pixels, &moving, |emitter, size, pointers| {
        let planes = Run { start: pointers[0], ..planes };
        let output = Run { start: pointers[1], ..output };
        for (channel, lanes) in vectors_of(slot, size) {
            let rows: Vec<Value> = (0..size)
                .map(|row| match channels_of(slot, channel, lanes, row) {
                    Some(own) => {
                        let parts: Vec<Pointer> =
                            own.iter().map(|&channel| planes.row(channel)).collect();
                        emitter.load_parts(lanes, &parts)
                    }
                    None => emitter.constant(lanes, 0.0),
                })
                .collect();
            for (pixel, value) in transposed(emitter, lanes, rows).into_iter().enumerate() {
                emitter.store(value, output.row(pixel).at(channel));
            }
        }
    });
}

/// Writes pixels as planes. `finish` makes the stored value of a loaded one; it is given the lanes,
/// the loaded value, the channels of its 128-bit lanes, and `beside` moved on to the value's first
/// pixel.
pub(super) fn to_planes(
    emitter: &mut Emitter<'_>,
    slot: &Slot,
    pixels: Count,
    input: Run,
    planes: Run,
    beside: Option<Pointer>,
    mut finish: impl FnMut(&mut Emitter<'_>, usize, Value, &[usize], Option<Pointer>) -> Value,
) {
    let mut moving = vec![(planes.start, 1), (input.start, input.pitch)];
    moving.extend(beside.map(|beside| (beside, 1)));
    over_pixels(emitter, slot, pixels, &moving, |emitter, size, pointers| {
        let planes = Run { start: pointers[0], ..planes };
        let input = Run { start: pointers[1], ..input };
        for (channel, lanes) in vectors_of(slot, size) {
            let rows: Vec<Value> =
                (0..size).map(|row| emitter.load(lanes, input.row(row).at(channel))).collect();
            for (row, value) in transposed(emitter, lanes, rows).into_iter().enumerate() {
                let Some(own) = channels_of(slot, channel, lanes, row) else { continue };
                let value = finish(emitter, lanes, value, &own, pointers.get(2).copied());
                let parts: Vec<Pointer> = own.iter().map(|&channel| planes.row(channel)).collect();
                emitter.store_parts(value, lanes, &parts);
            }
        }
    });
}

/// A parameter of the channels in the 128-bit lanes of a vector of pixels. `from` is that of channel
/// zero.
pub(super) fn of_channels(
    emitter: &mut Emitter<'_>,
    lanes: usize,
    from: Pointer,
    channels: &[usize],
) -> Value {
    let first = channels[0];
    if channels.len() == 1 {
        return emitter.broadcast(lanes, from.at(first));
    }
    let row = first % BLOCK;
    let parameters = emitter.load(lanes, from.at(first - row));
    shuffle::repeat(emitter, lanes, parameters, row)
}

/// First channels and lanes of the vectors that take a slot's channels, `size` pixels at once. Only
/// a vector of one block may have channels that do not exist.
fn vectors_of(slot: &Slot, size: usize) -> Vec<(usize, usize)> {
    let mut vectors = Vec::new();
    let mut channel = 0;
    while channel < slot.valid {
        let widest = if size == BLOCK { (slot.valid - channel).max(BLOCK) } else { 1 };
        let lanes = WIDTHS.into_iter().find(|&lanes| lanes <= widest).unwrap_or(1);
        vectors.push((channel, lanes));
        channel += lanes;
    }
    vectors
}

/// Channels whose pixels are in the 128-bit lanes of a row of blocks that start at `channel`; none
/// where they do not exist.
fn channels_of(slot: &Slot, channel: usize, lanes: usize, row: usize) -> Option<Vec<usize>> {
    let blocks = 0..lanes.div_ceil(BLOCK);
    let channels: Vec<usize> = blocks.map(|block| channel + block * BLOCK + row).collect();
    (*channels.last()? < slot.valid).then_some(channels)
}

/// Walks over the pixels in steps of the block size, which it gives to `body`: four, or one where
/// there are no four channels or pixels.
fn over_pixels(
    emitter: &mut Emitter<'_>,
    slot: &Slot,
    pixels: Count,
    moving: &[(Pointer, usize)],
    mut body: impl FnMut(&mut Emitter<'_>, usize, &[Pointer]),
) {
    let size_of =
        |pixels| if slot.lanes.is_multiple_of(BLOCK) && pixels >= BLOCK { BLOCK } else { 1 };
    let size = size_of(pixels.whole);
    if let Some((last, fewer)) = pixels.last
        && size_of(fewer) != size
    {
        return emitter.either(pixels.whole, Some((last, fewer)), |emitter, pixels| {
            let pixels = Count { whole: *pixels, last: None };
            over_pixels(emitter, slot, pixels, moving, &mut body as &mut Body<'_>);
        });
    }
    let cover = |pixels| Cover::new(pixels, size, 1, Tail::Overlap);
    let last = pixels.last.map(|(last, fewer)| (last, cover(fewer)));
    let whole = cover(pixels.whole);
    let full =
        Count { whole: whole.full, last: last.as_ref().map(|(last, cover)| (*last, cover.full)) };
    let steps: Vec<_> = moving.iter().map(|&(pointer, pitch)| (pointer, pitch * size)).collect();
    emitter.for_each_counted(full, &steps, &[], |emitter, pointers, _| {
        body(emitter, size, pointers);
        Vec::new()
    });
    let last = last.map(|(last, cover)| (last, cover.rest));
    emitter.either(whole.rest, last, |emitter, rest| {
        for slot in rest.iter().flatten() {
            let pointers: Vec<_> =
                moving.iter().map(|&(pointer, pitch)| pointer.at(slot.start * pitch)).collect();
            body(emitter, size, &pointers);
        }
    });
}

/// What is done with some pixels; behind a pointer, for a closure in a closure would nest for ever.
type Body<'b> = dyn FnMut(&mut Emitter<'_>, usize, &[Pointer]) + 'b;

/// The columns of blocks given by their rows.
fn transposed(emitter: &mut Emitter<'_>, lanes: usize, rows: Vec<Value>) -> Vec<Value> {
    let &[a, b, c, d] = rows.as_slice() else { return rows };
    let mut unpack = |shuffle: Shuffle, x, y| shuffle.emit(emitter, lanes, x, y);
    let [ac_low, bd_low] = [(a, c), (b, d)].map(|(x, y)| unpack(Shuffle::UnpackLow, x, y));
    let [ac_high, bd_high] = [(a, c), (b, d)].map(|(x, y)| unpack(Shuffle::UnpackHigh, x, y));
    vec![
        unpack(Shuffle::UnpackLow, ac_low, bd_low),
        unpack(Shuffle::UnpackHigh, ac_low, bd_low),
        unpack(Shuffle::UnpackLow, ac_high, bd_high),
        unpack(Shuffle::UnpackHigh, ac_high, bd_high),
    ]
}
