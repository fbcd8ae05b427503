//! The layout of the contract, written down for each version: it cannot change without the version moving with it.

use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::path::Path;

use sextant_plugin_api::abi::*;

macro_rules! layout {
    ($text:ident: $($name:ident { $($field:ident),* })*) => {$(
        writeln!($text, "{} {}", stringify!($name), size_of::<$name>()).unwrap();
        $(writeln!($text, "  {} {}", stringify!($field), offset_of!($name, $field)).unwrap();)*
    )*};
}

/// Size of every struct, offset of every field, number and operands of every operation.
fn contract() -> String {
    let mut text = String::new();
    layout! { text:
        Text { ptr, len }
        Array { ptr, len, stride }
        Message { size, text, owner, release }
        Shape { rank, reserved, dims }
        TensorRef { handle, dtype, reserved, shape }
        Descriptor { size, abi_major, abi_minor, name, version, summary, create, plan, guide, destroy, config_schema }
        Host { size, abi_major, abi_minor, op, release, log }
        Call { size, session, opcode, inputs_len, outputs_len, line, file, inputs, attributes, outputs }
        Operand { handle, consumed, reserved }
        NetworkInfo { network, depth, width, heads, prefix_tokens, grid_rows, grid_cols }
        FieldInfo { name, dtype, reserved, shape }
        Geometry { size, batch, channels, height, width, patch, classes, networks, fields }
        Tap { network, kind, depth, reserved }
        ParameterInfo { name, shape, init, trainable, reserved, value, values }
        BufferInfo { name, dtype, agreement, shape, rows, reserved, init, value, values }
        Plan {
            size, required_minor, batch_coupled, has_t_range, reserved, t_min, t_max, taps, fields, parameters, buffers,
            metrics
        }
        Step {
            size, session, index, batch, x, noise, x_t, t, velocity, labels, dropped_labels, taps, fields, parameters,
            buffers, sample_ids, t_values, label_values, dropped_label_values
        }
        Guided { size, loss, denoising_weight, metrics, buffers }
        Named { index, reserved, handle }
        Scalar { size, value }
        Range { size, min, max }
        Dim { size, dim, reserved }
        Dims { size, len, keep, reserved, dims }
        NewShape { size, shape }
        Slice { size, dim, reserved, start, end, step }
        ScatterTo { size, dim, reserved, count }
        Conv2d { size, stride, padding, dilation, groups }
        Interpolate { size, height, width, mode, align_corners, reserved }
        Full { size, value, dtype, reserved, shape }
        Upload { size, dtype, reserved, shape, data }
        Random { size, distribution, reserved, tag, shape }
        Cast { size, dtype, reserved }
        Download { size, data, bytes }
        Forward { size, network, reserved, depths, rows, conditions }
    }
    for row in OPERATIONS {
        let (inputs, outputs) = (row.inputs.join(" "), row.outputs.join(" "));
        writeln!(
            text,
            "{} {} ({inputs}) [{}] -> ({outputs})",
            row.code, row.name, row.attributes
        )
        .unwrap();
    }
    text
}

#[cfg(target_pointer_width = "64")]
#[test]
fn the_layout_is_that_of_its_version() {
    let name = format!("abi-{ABI_MAJOR}.{ABI_MINOR}.txt");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
    // Written once, when a version is made: never to make this test pass.
    if std::env::var_os("NEW_ABI_VERSION").is_some() {
        assert!(!path.exists(), "{name} is there: raise ABI_MINOR or ABI_MAJOR instead");
        std::fs::write(&path, contract()).unwrap();
    }
    let written = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{name}: {e}; write it with NEW_ABI_VERSION=1 when the version is new"));
    assert_eq!(
        contract(),
        written,
        "the contract changed under version {ABI_MAJOR}.{ABI_MINOR}: raise the version (what is added at an end: \
         minor; all else: major)"
    );
}
