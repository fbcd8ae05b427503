//! Convolution and resizing of `[B, C, H, W]`.

use sextant_plugin_api::{Error, Interpolation, abi};

use super::{Operands, layers, same_dtype};
use crate::Value;

fn planes(x: &Value) -> Result<[usize; 4], Error> {
    let shape = x.shape.as_slice();
    shape
        .try_into()
        .map_err(|_| Error::new(format!("[B, C, H, W] is needed, not {shape:?}")))
}

pub(super) fn conv2d(operands: &Operands<'_>, attributes: &abi::Conv2d) -> Result<Value, Error> {
    let (x, weight, bias) = (operands.float(0)?, operands.float(1)?, operands.optional(2));
    same_dtype(x, weight)?;
    let ([batch, channels, ..], [outputs, inputs, ..]) = (planes(x)?, planes(weight)?);
    let [stride, padding, dilation] =
        [attributes.stride, attributes.padding, attributes.dilation].map(|pair| pair.map(|n| n as usize));
    let groups = attributes.groups as usize;
    let divides = groups > 0 && channels.is_multiple_of(groups) && outputs.is_multiple_of(groups);
    if !divides || inputs != channels / groups {
        return Err(format!(
            "{channels} channels in {groups} groups do not fit the weight {:?}",
            weight.shape
        )
        .into());
    }
    layers::vector(x, bias, "bias", outputs)?;
    let mut shape = vec![batch, outputs];
    for i in 0..2 {
        let (extent, kernel) = (x.shape[2 + i] + 2 * padding[i], weight.shape[2 + i]);
        if kernel == 0 || stride[i] == 0 || dilation[i] == 0 || extent < dilation[i] * (kernel - 1) + 1 {
            return Err(format!("a kernel of {:?} does not fit into {:?}", &weight.shape[2..], x.shape).into());
        }
        shape.push((extent - dilation[i] * (kernel - 1) - 1) / stride[i] + 1);
    }
    // The input's coordinate for an output's and a kernel's; none in the padding.
    let place = |i: usize, out: usize, kernel: usize| {
        let padded = out * stride[i] + kernel * dilation[i];
        padded.checked_sub(padding[i]).filter(|at| *at < x.shape[2 + i])
    };
    let result = Value::from_fn(shape, |index| {
        let first = index[1] / (outputs / groups) * inputs;
        let mut sum = bias.map_or(0.0, |bias| bias.data[index[1]]);
        for channel in 0..inputs {
            for row in 0..weight.shape[2] {
                for col in 0..weight.shape[3] {
                    if let (Some(y), Some(z)) = (place(0, index[2], row), place(1, index[3], col)) {
                        sum += x.at(&[index[0], first + channel, y, z]) * weight.at(&[index[1], channel, row, col]);
                    }
                }
            }
        }
        sum
    });
    Ok(result.of(x.dtype))
}

pub(super) fn interpolate(operands: &Operands<'_>, attributes: &abi::Interpolate) -> Result<Value, Error> {
    let x = operands.float(0)?;
    let [batch, channels, from_h, from_w] = planes(x)?;
    let (height, width) = (attributes.height as usize, attributes.width as usize);
    if from_h * from_w * height * width == 0 {
        return Err("there are no pixels".into());
    }
    let mode = Interpolation::from_code(attributes.mode)
        .ok_or_else(|| format!("interpolation {} does not exist", attributes.mode))?;
    let corners = attributes.align_corners == 1;
    let rows: Vec<_> = (0..height).map(|i| taps(i, from_h, height, mode, corners)).collect();
    let cols: Vec<_> = (0..width).map(|i| taps(i, from_w, width, mode, corners)).collect();
    let result = Value::from_fn([batch, channels, height, width], |index| {
        let of_row = |(y, weight): &(usize, f64)| -> f64 {
            let taps = cols[index[3]].iter();
            taps.map(|(z, w)| x.at(&[index[0], index[1], *y, *z]) * w * weight)
                .sum()
        };
        rows[index[2]].iter().map(of_row).sum()
    });
    Ok(result.of(x.dtype))
}

/// Old pixels and their weights in new pixel `i`, as PyTorch has them.
fn taps(i: usize, from: usize, to: usize, mode: Interpolation, corners: bool) -> Vec<(usize, f64)> {
    if from == to {
        return vec![(i, 1.0)];
    }
    let place = match corners {
        true if to == 1 => 0.0,
        true => i as f64 * (from - 1) as f64 / (to - 1) as f64,
        false => (i as f64 + 0.5) * from as f64 / to as f64 - 0.5,
    };
    let pixel = |at: f64| at.clamp(0.0, (from - 1) as f64) as usize;
    match mode {
        Interpolation::Nearest => vec![(i * from / to, 1.0)],
        Interpolation::Bilinear => {
            let place = place.max(0.0);
            let low = place.floor();
            vec![(pixel(low), 1.0 - (place - low)), (pixel(low + 1.0), place - low)]
        }
        Interpolation::Bicubic => {
            let low = place.floor();
            let tap = |offset: i32| (pixel(low + f64::from(offset)), cubic(place - low - f64::from(offset)));
            (-1..=2).map(tap).collect()
        }
    }
}

/// Keys' kernel with a = -0.75, PyTorch's choice.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    match distance.abs() {
        d if d <= 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        d if d < 2.0 => ((d - 5.0) * d + 8.0) * d * A - 4.0 * A,
        _ => 0.0,
    }
}
