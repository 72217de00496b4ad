//! A relay between a node and the server, which can drop the data.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use suite::Result;

pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    loses: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    pub fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let relayed = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !relayed.loses.load(SeqCst) {
                    // The client will try again.
                    let _ = relayed.relay(&client, server);
                }
            }
        });
        Ok(Self { port, shared })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Drops all data for some time, then closes the connections.
    pub fn lose_for(&self, time: Duration) {
        self.shared.loses.store(true, SeqCst);
        thread::sleep(time);
        let open = self.shared.open.lock();
        for stream in open.unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be closed by now.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.loses.store(false, SeqCst);
    }
}

impl Shared {
    fn relay(self: &Arc<Self>, client: &TcpStream, server: u16) -> std::io::Result<()> {
        let server = TcpStream::connect(("localhost", server))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (from, to) in [(client, &server), (&server, client)] {
            from.set_nodelay(true)?;
            open.push(from.try_clone()?);
            let (from, to, shared) = (from.try_clone()?, to.try_clone()?, self.clone());
            thread::spawn(move || shared.pass(&from, &to));
        }
        Ok(())
    }

    fn pass(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if !self.loses.load(SeqCst) && to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
