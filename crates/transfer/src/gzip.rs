//! Bodies that a server has compressed with gzip although it was not requested.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, Write};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file is gzipped, and is decoded when all of it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gzip {
    /// The most bytes that it may have then.
    pub(crate) most: Option<u64>,
}

impl Gzip {
    /// Decodes a file (RFC 1952), with its checksums. Returns how many bytes it has
    /// then; or what is wrong with it, be it that something follows it.
    pub(crate) fn decode(
        self,
        from: &mut File,
        to: &mut File,
        digest: &mut Sha256,
    ) -> io::Result<Result<u64, String>> {
        from.rewind()?;
        let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, from));
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            let read = match decoder.read(&mut buffer) {
                Ok(0) => return Ok(Ok(bytes)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // The kernel's own errors have a number.
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                Err(error) => return Ok(Err(format!("it came as gzip, and damaged: {error}"))),
            };
            bytes += read as u64;
            if let Some(most) = self.most.filter(|most| bytes > *most) {
                return Ok(Err(format!(
                    "it came as gzip, and is larger than the {most} bytes that are allowed"
                )));
            }
            digest.update(&buffer[..read]);
            to.write_all(&buffer[..read])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn it_is_decoded_to_its_end_and_no_further_than_allowed() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 1_000_000]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 10_000);
        let decode = |came: &[u8], most| {
            let (mut from, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
            from.write_all(came).unwrap();
            let decoded = Gzip { most }.decode(&mut from, &mut to, &mut Sha256::new());
            (decoded.unwrap(), to.metadata().unwrap().len())
        };
        assert_eq!(decode(&bomb, None), (Ok(1_000_000), 1_000_000));
        assert_eq!(decode(&bomb, Some(1_000_000)).0, Ok(1_000_000));
        let (refused, written) = decode(&bomb, Some(200_000));
        assert!(refused.is_err() && written <= 200_000, "{written}");
        // One after the other is one file; anything else is none.
        assert_eq!(decode(&bomb.repeat(2), None).0, Ok(2_000_000));
        assert!(decode(&[&bomb[..], b"x"].concat(), None).0.is_err());
        for cut in [1, 9, bomb.len() / 2, bomb.len() - 1] {
            assert!(decode(&bomb[..cut], None).0.is_err(), "{cut}");
        }
    }
}
