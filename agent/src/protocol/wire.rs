//! What a session stands between: the bytes of both sides that are not dealt with yet, and what it wants done.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Output, Side, inbox::Inbox};

#[derive(Debug, Default)]
pub struct Wire {
    pub down: Inbox,
    pub up: Inbox,
    outputs: VecDeque<Output>,
}

impl Wire {
    pub fn inbox(&mut self, side: Side) -> &mut Inbox {
        match side {
            Side::Downstream => &mut self.down,
            Side::Upstream => &mut self.up,
        }
    }

    /// Sends made bytes to the workload, after what was kept for it.
    pub fn tell_workload(&mut self, bytes: Bytes) {
        self.release_up();
        self.outputs.push_back(Output::Send(Side::Downstream, bytes));
    }

    /// Sends made bytes to the server, after what was kept for it.
    pub fn tell_server(&mut self, bytes: Bytes) {
        self.release_down();
        self.outputs.push_back(Output::Send(Side::Upstream, bytes));
    }

    /// Lets what was kept of the workload's bytes go to the server.
    pub fn release_down(&mut self) {
        if let Some(bytes) = self.down.release() {
            self.outputs.push_back(Output::Send(Side::Upstream, bytes));
        }
    }

    /// Lets what was kept of the server's bytes go to the workload.
    pub fn release_up(&mut self) {
        if let Some(bytes) = self.up.release() {
            self.outputs.push_back(Output::Send(Side::Downstream, bytes));
        }
    }

    /// Drops the workload's next message.
    pub fn drop_down(&mut self, count: usize) {
        self.release_down();
        self.down.skip(count);
    }

    /// Drops the server's next message.
    pub fn drop_up(&mut self, count: usize) {
        self.release_up();
        self.up.skip(count);
    }

    /// Wants anything but bytes sent.
    pub fn want(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub fn next(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
