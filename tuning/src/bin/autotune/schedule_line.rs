//! A schedule on one line, for people; JSON output and the cache hold it as a table.
//!
//! ```text
//! pixels fused by rows, 4 rows | dw 2x3 f32x8 registers overlap copied | pw 6x2 f32x8 u4 overlap panels channels_outer
//! ```

use dsconv::Schedule;
use serde::Serialize;

/// The schedule's fields in their order, by the names that they have in the cache.
pub(crate) fn schedule_line(schedule: &Schedule) -> String {
    let mut line = format!(
        "{} {} by {}, {} row{}",
        name(&schedule.family),
        name(&schedule.fusion),
        name(&schedule.split),
        schedule.tile_rows,
        if schedule.tile_rows == 1 { "" } else { "s" }
    );
    if let Some(tile) = &schedule.depthwise {
        line += &format!(
            " | dw {}x{} f32x{} {} {} {}",
            tile.rows,
            tile.vectors,
            tile.lanes,
            name(&tile.taps),
            name(&tile.tail),
            name(&tile.window)
        );
    }
    if let Some(tile) = &schedule.pointwise {
        line += &format!(
            " | pw {}x{} f32x{} u{} {} {} {}",
            tile.broadcasts,
            tile.vectors,
            tile.lanes,
            tile.unroll,
            name(&tile.tail),
            name(&tile.packing),
            name(&tile.order)
        );
    }
    line
}

/// The name of an enum's value in files.
pub(crate) fn name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(_) => "?".into(),
    }
}
