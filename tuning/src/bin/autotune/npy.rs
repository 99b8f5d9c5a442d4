//! Arrays in NumPy's files: `.npy`, and `.npz` archives of them.
//!
//! `ndarray-npy` reads the format (it checks lengths against the header before it trusts either,
//! and knows Fortran order); `zip` opens the archives.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use ndarray::{ArrayViewD, IxDyn};
use ndarray_npy::{ViewNpyError, ViewNpyExt, WriteNpyExt};

/// An array in C order, last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// A file that holds no usable array. `array` names the file, and the array in an archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArrayError {
    /// Not readable at all.
    #[error("{}: {error}", path.display())]
    Open { path: PathBuf, error: std::io::Error },
    /// Not writable.
    #[error("{}: not written: {reason}", path.display())]
    Write { path: PathBuf, reason: String },
    /// Another element type.
    #[error("{array}: expected float32, found {found}; save it with .astype('<f4') in Python")]
    DType { array: String, found: String },
    /// Not in the format.
    #[error("{array}: not a .npy array: {reason}")]
    Format { array: String, reason: String },
    /// Not an archive.
    #[error("{}: not a .npz archive: {reason}", path.display())]
    Archive { path: PathBuf, reason: String },
    /// Another shape.
    #[error("{array}: expected {expected}, found {found}")]
    Shape { array: String, expected: String, found: String },
    /// Nowhere to be found.
    #[error("{array}: no such array; {hint}")]
    Missing { array: &'static str, hint: String },
    /// Of an unknown name, or unfit for its place.
    #[error("{}: {message}", path.display())]
    Archived { path: PathBuf, message: String },
}

/// Whether a file is named as an archive.
pub(crate) fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

/// Reads an `.npy` file.
pub(crate) fn read(path: &Path) -> Result<Array, ArrayError> {
    let bytes =
        std::fs::read(path).map_err(|error| ArrayError::Open { path: path.into(), error })?;
    parse(&bytes, &path.display().to_string())
}

/// Reads all arrays of an `.npz` file, in the order of the file.
pub(crate) fn read_archive(path: &Path) -> Result<Vec<(String, Array)>, ArrayError> {
    let open = |error| ArrayError::Open { path: path.into(), error };
    let malformed = |reason: String| ArrayError::Archive { path: path.into(), reason };
    let file = File::open(path).map_err(open)?;
    let mut archive =
        zip::ZipArchive::new(BufReader::new(file)).map_err(|error| malformed(error.to_string()))?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| malformed(error.to_string()))?;
        let name = entry.name().map_err(|error| malformed(error.to_string()))?;
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| malformed(format!("{name}: {error}")))?;
        arrays.push((name.clone(), parse(&bytes, &format!("{}: {name}", path.display()))?));
    }
    Ok(arrays)
}

/// Writes an `.npy` file.
pub(crate) fn write(path: &Path, shape: &[usize], values: &[f32]) -> Result<(), ArrayError> {
    let failed = |reason: String| ArrayError::Write { path: path.into(), reason };
    let view =
        ArrayViewD::from_shape(IxDyn(shape), values).map_err(|error| failed(error.to_string()))?;
    let mut file = BufWriter::new(File::create(path).map_err(|error| failed(error.to_string()))?);
    view.write_npy(&mut file).map_err(|error| failed(error.to_string()))?;
    file.flush().map_err(|error| failed(error.to_string()))
}

fn parse(bytes: &[u8], array: &str) -> Result<Array, ArrayError> {
    // The view checks the header against the bytes that are there, so that a header which promises
    // a terabyte allocates nothing.
    let view = match ArrayViewD::<f32>::view_npy(bytes) {
        Ok(view) => view,
        Err(error) => return Err(refused(error, array)),
    };
    Ok(Array { shape: view.shape().to_vec(), values: view.iter().copied().collect() })
}

fn refused(error: ViewNpyError, array: &str) -> ArrayError {
    let found = match &error {
        ViewNpyError::WrongDescriptor(descriptor) => dtype_name(&descriptor.to_string()),
        ViewNpyError::NonNativeEndian => "float32 of the other byte order".into(),
        _ => return ArrayError::Format { array: array.into(), reason: error.to_string() },
    };
    ArrayError::DType { array: array.into(), found }
}

/// NumPy's name of a type descriptor such as `'<f8'`.
fn dtype_name(descriptor: &str) -> String {
    let code = descriptor.trim_matches(['\'', '"']);
    let name = match code.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => "float16",
        "f8" => "float64",
        "i1" => "int8",
        "u1" => "uint8",
        "i2" => "int16",
        "u2" => "uint16",
        "i4" => "int32",
        "u4" => "uint32",
        "i8" => "int64",
        "u8" => "uint64",
        "b1" => "bool",
        "c8" => "complex64",
        "c16" => "complex128",
        _ => return format!("dtype {descriptor}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array file as NumPy writes it.
    fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn c_and_fortran_order_give_the_same_array() {
        let c = file("<f4", "False", "(2, 3)", &floats(&[0., 1., 2., 3., 4., 5.]));
        let fortran = file("<f4", "True", "(2, 3)", &floats(&[0., 3., 1., 4., 2., 5.]));
        let expected = Array { shape: vec![2, 3], values: vec![0., 1., 2., 3., 4., 5.] };
        assert_eq!(parse(&c, "c").unwrap(), expected);
        assert_eq!(parse(&fortran, "fortran").unwrap(), expected);
    }

    #[test]
    fn other_element_types_are_named() {
        for (descr, name) in [("<f8", "float64"), ("<i8", "int64"), ("<f2", "float16")] {
            let message =
                parse(&file(descr, "False", "(1,)", &[0; 8]), "x").unwrap_err().to_string();
            assert!(message.contains(&format!("expected float32, found {name}")), "{message}");
        }
        let message = parse(&file(">f4", "False", "(1,)", &[0; 4]), "x").unwrap_err().to_string();
        assert!(message.contains("other byte order"), "{message}");
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_allocates_nothing() {
        for shape in ["(1099511627776, 1099511627776)", "(1099511627776,)", "(2,)"] {
            let error = parse(&file("<f4", "False", shape, &[0; 4]), "x").unwrap_err();
            assert!(matches!(error, ArrayError::Format { .. }), "{error}");
        }
        assert!(parse(&file("<f4", "False", "(1,)", &[0; 8]), "x").is_err());
    }

    #[test]
    fn garbage_and_every_truncation_are_errors() {
        let whole = file("<f4", "False", "(2, 3)", &floats(&[0.; 6]));
        for len in 0..whole.len() {
            assert!(parse(&whole[..len], "x").is_err(), "{len} bytes");
        }
        assert!(parse(&[0xA5; 300], "x").is_err());
    }

    #[test]
    fn an_array_survives_writing_and_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write(&path, &[1, 2, 1, 2], &[1.5, -0.0, f32::MIN_POSITIVE, 4.0]).unwrap();
        let array = read(&path).unwrap();
        assert_eq!(array.shape, [1, 2, 1, 2]);
        assert_eq!(array.values, [1.5, -0.0, f32::MIN_POSITIVE, 4.0]);
    }
}
