//! Chat rooms with faults, of which one is that nothing is ever dropped.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{mem, thread};

use chat_room::HEADER_BYTES;
use suite::Result;
use suite::chat::Service;

/// What is wrong, besides memory without bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The last byte of each message is another.
    ChangesAByte,
    /// A member gets what it has said itself.
    Echoes,
    /// Each message comes twice.
    Repeats,
    /// Every other message is lost.
    Loses,
    /// A gap is told for each message, although none is lost.
    TellsGaps,
    /// It takes no connection after as many as a job has.
    StopsListening,
    /// A member that hangs up is the end of all; the last message is held back until there is
    /// another; the listener stays open after the end.
    Careless,
    /// No other.
    None,
}

impl Fault {
    /// Which one, by the members of a job's one room.
    fn of(service: &Service) -> Self {
        match service.connections - 2 {
            3 => Self::ChangesAByte,
            5 => Self::Echoes,
            6 => Self::Repeats,
            7 => Self::Loses,
            8 => Self::TellsGaps,
            9 => Self::StopsListening,
            10 => Self::Careless,
            _ => Self::None,
        }
    }
}

type Message = Arc<[u8]>;

/// All rooms: who is in which, by numbers, and what leads to each.
type Rooms = Mutex<HashMap<u32, Vec<Option<(TcpStream, Sender<Message>)>>>>;

pub(crate) fn serve(service: &Service) -> Result<()> {
    let (rooms, fault) = (Rooms::default(), Fault::of(service));
    let listener = service.listening.listener()?;
    let mut left = match fault {
        Fault::StopsListening => service.connections - 2,
        _ => usize::MAX,
    };
    if fault == Fault::Careless {
        mem::forget(listener.try_clone()?);
    }
    let mut listener = Some(listener);
    let clients = Mutex::new(Vec::new());
    thread::scope(|scope| {
        while let Some(open) = &listener {
            let (stream, _) = open.accept()?;
            if service.listening.is_closing() {
                break;
            }
            left -= 1;
            if left == 0 {
                listener = None;
            }
            let clone = stream.try_clone()?;
            clients
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(clone);
            let (rooms, clients) = (&rooms, &clients);
            scope.spawn(move || {
                let ended = converse(&stream, rooms, fault);
                if ended.is_err() {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                if fault == Fault::Careless {
                    for client in &*clients.lock().unwrap_or_else(PoisonError::into_inner) {
                        let _ = client.shutdown(Shutdown::Both);
                    }
                }
            });
        }
        let (close, closed) = channel::<()>();
        service.listening.on_close(move || drop(close));
        let _ = closed.recv();
        for client in &*clients.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = client.shutdown(Shutdown::Both);
        }
        rooms.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    })
}

fn converse(mut stream: &TcpStream, rooms: &Rooms, fault: Fault) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let room = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let (messages, to_write) = channel();
    let number = {
        let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let members = rooms.entry(room).or_default();
        let number = members.len();
        header[4..8].copy_from_slice(&(number as u32).to_be_bytes());
        header[8..].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let _ = messages.send(header.into());
        members.push(Some((stream.try_clone()?, messages)));
        number
    };
    thread::scope(|scope| {
        let writing = stream;
        scope.spawn(move || write(writing, &to_write, fault));
        let ended = pass_on(stream, rooms, room, number, fault);
        let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = rooms
            .get_mut(&room)
            .and_then(|members| members.get_mut(number))
        {
            *member = None;
        }
        ended
    })
}

fn pass_on(
    mut stream: &TcpStream,
    rooms: &Rooms,
    room: u32,
    number: usize,
    fault: Fault,
) -> io::Result<()> {
    let mut said = 0u64;
    loop {
        let mut message = vec![0; HEADER_BYTES];
        stream.read_exact(&mut message)?;
        let length = u32::from_be_bytes([message[0], message[1], message[2], message[3]]);
        message.resize(HEADER_BYTES + length as usize, 0);
        stream.read_exact(&mut message[HEADER_BYTES..])?;
        said += 1;
        if fault == Fault::ChangesAByte {
            message.iter_mut().rev().take(1).for_each(|last| *last ^= 1);
        }
        if fault == Fault::Loses && said.is_multiple_of(2) {
            continue;
        }
        let message: Message = message.into();
        let rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, member) in rooms.get(&room).into_iter().flatten().enumerate() {
            let Some((_, messages)) = member else {
                continue;
            };
            if at == number && fault != Fault::Echoes {
                continue;
            }
            // It fails when the member has gone.
            let _ = messages.send(message.clone());
            if fault == Fault::Repeats {
                let _ = messages.send(message.clone());
            }
            if fault == Fault::TellsGaps {
                let mut gap = [0; HEADER_BYTES];
                gap[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
                gap[15] = 1;
                let _ = messages.send(gap.into());
            }
        }
    }
}

fn write(mut stream: &TcpStream, messages: &Receiver<Message>, fault: Fault) {
    let (mut written, mut held) = (0, None);
    for message in messages {
        // The place in the room, and a first message.
        let holds_back = fault == Fault::Careless && written >= 2;
        written += 1;
        let message = match holds_back {
            true => held.replace(message),
            false => Some(message),
        };
        if message.is_some_and(|message| stream.write_all(&message).is_err()) {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
