//! NumPy's files, written without the reader that is under test.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The bytes of an array file, as `numpy.save` writes them.
pub(crate) fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_npy("<f4", shape, &data)
}

/// The bytes of an array file of any element type.
pub(crate) fn raw_npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).expect("a short header").to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// Writes an archive, as `numpy.savez` or `numpy.savez_compressed` does.
pub(crate) fn write_npz(path: &Path, compressed: bool, arrays: &[(&str, Vec<u8>)]) {
    let method =
        if compressed { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    let mut archive = zip::ZipWriter::new(File::create(path).expect("the archive"));
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), options).expect("an entry");
        archive.write_all(bytes).expect("the entry's bytes");
    }
    archive.finish().expect("the archive's end");
}

/// Shape and values of a little-endian float32 array in C order.
pub(crate) fn read_npy(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).expect("the array file");
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).expect("a header");
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once("'shape': (").expect("a shape").1;
    let shape = shape.split_once(')').expect("a shape").0;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty())
        .map(|extent| extent.parse().expect("an extent"))
        .collect();
    let values = bytes[end..]
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
        .collect();
    (shape, values)
}
