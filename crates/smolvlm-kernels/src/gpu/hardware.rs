//! Device properties that kernels are specialized for.

use super::reduce::LANES;
use cubecl::calculate_cube_count_elemwise;
use cubecl::ir::features::Plane;
use cubecl::prelude::*;

/// Whether planes of the device have [`LANES`] units and support plane operations.
pub fn has_planes(client: &Client) -> bool {
    let hardware = &client.properties().hardware;
    let widths = (hardware.plane_size_min, hardware.plane_size_max);
    client.features().plane.contains(Plane::Ops) && widths == (LANES, LANES)
}

/// Cubes with at least this number of units, for kernels that use `ABSOLUTE_POS` or `CUBE_POS`: the cubes of a single
/// axis would be too few for large tensors.
pub fn cubes(client: &Client, units: usize, dim: CubeDim) -> CubeCount {
    calculate_cube_count_elemwise(client, units, dim)
}

/// The largest vector size, in values, that the device supports, that is at most 16 bytes, and that divides all widths.
pub fn vector_size(client: &Client, element: ElemType, widths: &[usize]) -> usize {
    let widest = (16 / element.size()).min(client.properties().hardware.max_vector_size.max(1));
    let fits = |size: &usize| *size <= widest && widths.iter().all(|width| width % size == 0);
    [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}
