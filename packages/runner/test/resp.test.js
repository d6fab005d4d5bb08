"use strict";

const assert = require("node:assert/strict");
const { createServer } = require("node:net");
const { test } = require("node:test");

const { Connection, Refusal } = require("@openbell/runner/src/resp.js");

/** A server that answers whatever it is asked with these pieces, one write each. */
async function answering(pieces, act) {
  const heard = [];
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("data", async (data) => {
      heard.push(data.toString());
      for (const piece of pieces) {
        if (piece === null) socket.destroy();
        else socket.write(piece);
        await new Promise(setImmediate);
      }
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await act(`redis://127.0.0.1:${server.address().port}`, heard);
  } finally {
    server.close();
  }
}

const REPLIES = "+OK\r\n:42\r\n$7\r\nzwölf\r\r\n*3\r\n$-1\r\n*-1\r\n*1\r\n$0\r\n\r\n-ERR no\r\n";

function areRead(replies) {
  assert.deepEqual(replies.slice(0, 4), ["OK", 42, "zwölf\r", [null, null, [""]]]);
  assert.ok(replies[4] instanceof Refusal);
  assert.equal(replies[4].message, "ERR no");
}

test("replies are read wherever the network cuts them", async () => {
  const bytes = Buffer.from(REPLIES);
  for (let cut = 1; cut < bytes.length; cut += 1) {
    await answering([bytes.subarray(0, cut), bytes.subarray(cut)], async (url) => {
      const connection = await Connection.open(url);
      areRead(await connection.exchange(Array(5).fill(["PING"])));
      connection.close();
    });
  }
});

test("commands are written at once, with the lengths in bytes", async () => {
  await answering(["+a\r\n+b\r\n"], async (url, heard) => {
    const connection = await Connection.open(url);
    await connection.exchange([["SET", "ä", "1"], ["GET", "ä"]]);
    connection.close();
    assert.deepEqual(heard, ["*3\r\n$3\r\nSET\r\n$2\r\nä\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$2\r\nä\r\n"]);
  });
});

test("user, password and database come from the URL", async () => {
  await answering(["+OK\r\n+OK\r\n"], async (url, heard) => {
    const connection = await Connection.open(url.replace("//", "//me:p%40ss@") + "/3");
    connection.close();
    assert.equal(heard.join(""), "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$4\r\np@ss\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
  });
});

test("a refused login is an error", async () => {
  await answering(["-WRONGPASS no\r\n"], async (url) => {
    await assert.rejects(Connection.open(url.replace("//", "//:no@")), /WRONGPASS/);
  });
});

test("a connection that is cut rejects what is awaited, and everything after", async () => {
  await answering(["+OK\r\n", null], async (url) => {
    const connection = await Connection.open(url);
    await assert.rejects(connection.exchange([["PING"], ["PING"]]), /cut|reset/i);
    await assert.rejects(connection.exchange([["PING"]]));
  });
});

test("nobody there is an error", async () => {
  await assert.rejects(Connection.open("redis://127.0.0.1:1"), /ECONNREFUSED/);
});
