//! Element by element.

use sextant_plugin_api::abi::Operation as O;
use sextant_plugin_api::{DType, Error};

use super::{Operands, broadcast, same_dtype};
use crate::Value;

fn zip(operands: &Operands<'_>, dtype: Option<DType>, f: impl Fn(f64, f64) -> f64) -> Result<Value, Error> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    same_dtype(a, b)?;
    let shape = broadcast(&a.shape, &b.shape)?;
    Ok(Value::from_fn(shape, |index| f(a.at(index), b.at(index))).of(dtype.unwrap_or(a.dtype)))
}

pub(super) fn arithmetic(operands: &Operands<'_>) -> Result<Value, Error> {
    let divides = operands.operation == O::Div;
    match operands.get(0)?.dtype {
        DType::Bool => return Err("masks have no arithmetic: cast them, or use `and`, `or`, `not`".into()),
        DType::Int if divides => return Err("integers are not divided: cast them to a float type first".into()),
        _ => {}
    }
    zip(
        operands,
        None,
        match operands.operation {
            O::Add => |a, b| a + b,
            O::Sub => |a, b| a - b,
            O::Mul => |a, b| a * b,
            _ => |a, b| a / b,
        },
    )
}

pub(super) fn scalar(operands: &Operands<'_>, value: f64) -> Result<Value, Error> {
    if !value.is_finite() {
        return Err(format!("the number {value} is not finite").into());
    }
    let a = operands.get(0)?;
    match a.dtype {
        DType::Bool => return Err("a must have float elements: cast it first".into()),
        DType::Int if value.fract() != 0.0 || operands.operation == O::PowScalar => {
            return Err("a must have float elements: cast it first".into());
        }
        _ => {}
    }
    Ok(match operands.operation {
        O::AddScalar => a.map(|a| a + value),
        O::MulScalar => a.map(|a| a * value),
        // Exact where the power is whole, as a product is.
        _ if value.fract() == 0.0 && value.abs() < 1e9 => a.map(|a| a.powi(value as i32)),
        _ => a.map(|a| a.powf(value)),
    })
}

pub(super) fn clamp(operands: &Operands<'_>, min: f64, max: f64) -> Result<Value, Error> {
    if min.is_nan() || max.is_nan() || min > max {
        return Err(format!("the interval [{min}, {max}] is empty").into());
    }
    Ok(operands.float(0)?.map(|a| a.clamp(min, max)))
}

pub(super) fn unary(operands: &Operands<'_>) -> Result<Value, Error> {
    let a = match operands.operation {
        O::Neg | O::Abs if operands.get(0)?.dtype == DType::Int => operands.get(0)?,
        _ => operands.float(0)?,
    };
    let function: fn(f64) -> f64 = match operands.operation {
        O::Neg => |a| -a,
        O::Exp => f64::exp,
        O::Log => f64::ln,
        O::Sqrt => f64::sqrt,
        O::Abs => f64::abs,
        O::Sin => f64::sin,
        O::Cos => f64::cos,
        O::Tanh => f64::tanh,
        O::Sigmoid => sigmoid,
        O::Relu => |a| if a > 0.0 { a } else { a * 0.0 },
        O::Silu => |a| a * sigmoid(a),
        O::Floor => f64::floor,
        O::Gelu => |a| 0.5 * a * (1.0 + erf(a / std::f64::consts::SQRT_2)),
        O::Erf => erf,
        other => return Err(format!("this testkit does not know {}", other.info().name).into()),
    };
    Ok(a.map(function))
}

fn sigmoid(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

/// The error function: its power series near 0, its continued fraction (Lentz, from behind) beyond; both to about 1e-15.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return a;
    }
    let scale = (-a * a).exp() / std::f64::consts::PI.sqrt();
    let value = if a < 2.5 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        2.0 * scale * sum
    } else {
        let tail = (1..=120).rev().fold(a, |tail, k| a + f64::from(k) / 2.0 / tail);
        1.0 - scale / tail
    };
    value.copysign(x)
}

pub(super) fn compare(operands: &Operands<'_>) -> Result<Value, Error> {
    if operands.get(0)?.dtype == DType::Bool && operands.operation != O::Equal {
        return Err("masks have no order: only `equal` compares them".into());
    }
    let holds: fn(&f64, &f64) -> bool = match operands.operation {
        O::Equal => |a, b| a == b,
        O::Greater => |a, b| a > b,
        O::GreaterEqual => |a, b| a >= b,
        O::Lower => |a, b| a < b,
        _ => |a, b| a <= b,
    };
    zip(operands, Some(DType::Bool), |a, b| f64::from(u8::from(holds(&a, &b))))
}

pub(super) fn logic(operands: &Operands<'_>) -> Result<Value, Error> {
    let a = operands.get(0)?;
    if operands.values.iter().flatten().any(|value| value.dtype != DType::Bool) {
        return Err("operands must be masks".into());
    }
    if operands.operation == O::Not {
        return Ok(a.map(|a| 1.0 - a));
    }
    let b = operands.get(1)?;
    if a.shape != b.shape {
        return Err("shapes differ: expand one of them".into());
    }
    Ok(match operands.operation {
        O::And => a.zip(b, f64::min),
        _ => a.zip(b, f64::max),
    })
}

pub(super) fn choose(operands: &Operands<'_>) -> Result<Value, Error> {
    let (mask, a, b) = (operands.get(0)?, operands.get(1)?, operands.get(2)?);
    if mask.dtype != DType::Bool {
        return Err("mask must be a mask: compare it with something".into());
    }
    same_dtype(a, b)?;
    if mask.shape != a.shape || a.shape != b.shape {
        return Err("shapes differ: expand to one shape".into());
    }
    Ok(Value::from_fn(&a.shape, |i| if mask.at(i) == 0.0 { b.at(i) } else { a.at(i) }).of(a.dtype))
}

pub(super) fn cast(a: &Value, dtype: DType) -> Value {
    match dtype {
        DType::Int => a.map(f64::trunc),
        DType::Bool => a.map(|a| f64::from(u8::from(a != 0.0))),
        _ => a.clone(),
    }
    .of(dtype)
}
