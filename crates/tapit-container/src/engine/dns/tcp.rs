//! Questions over TCP: each is preceded by its length, and so is each answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{self, Reaction};
use super::upstream::Transport;
use super::{Desk, FORWARDS_MAX, PAUSE, QUESTION_MAX};

/// For the next question to come, and for an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// Then the asker connects anew.
const QUESTIONS_MAX: usize = 100;

pub async fn serve(desk: &Arc<Desk>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < FORWARDS_MAX => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) if desk.knows(peer) => {
                let desk = Arc::clone(desk);
                connections.spawn(async move {
                    if let Err(error) = converse(&desk, stream).await {
                        tracing::debug!(%peer, %error, "answering questions");
                    }
                });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(app = %desk.app, %error, "accepting a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(desk: &Desk, mut stream: TcpStream) -> io::Result<()> {
    for _ in 0..QUESTIONS_MAX {
        let question = timeout(PATIENCE, read(&mut stream, QUESTION_MAX)).await??;
        let answer = match desk.react(&question) {
            Reaction::Ignore => return Ok(()),
            Reaction::Answer(answer) => Some(answer),
            Reaction::Forward => desk.forward(&question, Transport::Tcp).await,
        };
        let Some(answer) = answer.or_else(|| answer::failure(&question)) else { return Ok(()) };
        timeout(PATIENCE, write(&mut stream, &answer)).await??;
    }
    Ok(())
}

pub async fn read(stream: &mut TcpStream, max: usize) -> io::Result<Vec<u8>> {
    let len = usize::from(stream.read_u16().await?);
    if len > max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

pub async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let len = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&len.to_be_bytes()[..], message].concat()).await
}
