//! What a small request costs, without sockets: for `perf stat` and `strace -c`.

use std::time::Instant;

use http_serve::{Requests, Site};

fn main() -> std::io::Result<()> {
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("a.bin"), [7; 1024])?;
    let site = Site::open(directory.path())?;
    let text =
        b"GET /a.bin HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n";
    let mut requests = Requests::default();
    let count = 200_000;
    let mut bytes = 0;
    let began = Instant::now();
    for _ in 0..count {
        requests.room()[..text.len()].copy_from_slice(text);
        requests.filled(text.len());
        let request = requests.next().unwrap().unwrap();
        bytes += site
            .answer_cached(&request)
            .map_or(0, |answer| answer.bytes().len());
    }
    println!("{:?} each, {bytes} bytes", began.elapsed() / count);
    Ok(())
}
