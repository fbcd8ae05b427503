//! The geometry, as the plugin sees it.

use sextant_plugin_api::abi::{DType, FieldInfo, Geometry, MAX_RANK, Network, NetworkInfo, PathKind, PredictionKind};

use crate::boundary::{lend_list, lend_text};
use crate::fault::Fault;
use crate::geometry::{GuidanceGeometry, NetworkShape};
use crate::operations::Spec;
use sextant_recipe::{Path, Prediction};

/// Memory that a [`Geometry`] points to, while a call lasts.
pub(super) struct GeometryView<'a> {
    geometry: &'a GuidanceGeometry,
    networks: Vec<NetworkInfo>,
    fields: Vec<FieldInfo>,
}

impl<'a> GeometryView<'a> {
    /// The error names a field that cannot be handed over.
    pub fn new(geometry: &'a GuidanceGeometry) -> Result<Self, Fault> {
        let networks = [
            (Network::Student, Some(&geometry.student)),
            (Network::Teacher, geometry.teacher.as_ref()),
            (Network::Ema, Some(&geometry.ema)),
        ];
        let networks = networks
            .into_iter()
            .filter_map(|(network, shape)| Some(network_info(network, shape?)));
        let fields = geometry.fields.iter().map(|(name, shape)| field_info(name, shape));
        Ok(Self {
            geometry,
            networks: networks.collect(),
            fields: fields.collect::<Result<_, _>>()?,
        })
    }

    /// Borrows from `self`: not to be kept beyond it.
    pub fn geometry(&self) -> Geometry {
        let geometry = self.geometry;
        Geometry {
            size: size_of::<Geometry>() as u64,
            batch: geometry.batch as u64,
            channels: geometry.channels as u64,
            height: geometry.height as u64,
            width: geometry.width as u64,
            patch: geometry.patch as u64,
            classes: geometry.classes as u64,
            networks: lend_list(&self.networks),
            fields: lend_list(&self.fields),
            prediction: match geometry.prediction {
                Prediction::Velocity => PredictionKind::Velocity as u32,
                Prediction::Data => PredictionKind::Data as u32,
                Prediction::Noise => PredictionKind::Noise as u32,
            },
            path: match geometry.path {
                Path::Linear => PathKind::Linear as u32,
                Path::Cosine => PathKind::Cosine as u32,
            },
        }
    }
}

fn network_info(network: Network, shape: &NetworkShape) -> NetworkInfo {
    NetworkInfo {
        network: network as u32,
        depth: shape.depth as u32,
        width: shape.width as u64,
        heads: shape.heads as u32,
        prefix_tokens: 0,
        grid_rows: shape.grid[0] as u32,
        grid_cols: shape.grid[1] as u32,
    }
}

fn field_info(name: &str, shape: &[usize]) -> Result<FieldInfo, Fault> {
    // One dimension is the batch's.
    if shape.len() >= MAX_RANK {
        let (rank, most) = (shape.len(), MAX_RANK - 1);
        return Err(Fault::Step(format!(
            "the batch field \"{name}\" has {rank} dimensions, at most {most} can be handed over"
        )));
    }
    Ok(FieldInfo {
        name: lend_text(name),
        dtype: DType::F32 as u32,
        reserved: 0,
        shape: Spec::new(DType::F32, shape.to_vec()).reference(0).shape,
    })
}
