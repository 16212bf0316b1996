import assert from "node:assert/strict";
import { test } from "node:test";
import { keySequence, Screen } from "../src/logic/screen";
import { Channel, ending, frame, resizeFrame } from "../src/logic/streams";

function shown(screen: Screen): string[] {
  return screen.lines.map((line) => Array.from(line, (cell) => cell?.text ?? " ").join("").trimEnd());
}

test("lines wrap and scroll into the past", () => {
  const screen = new Screen(5, 3);
  screen.write("abcdefg\r\n1\r\n2\r\n3");
  assert.deepEqual(shown(screen), ["1", "2", "3"]);
  assert.deepEqual(screen.text(), "abcde\nfg\n1\n2\n3");
  assert.deepEqual([screen.row, screen.column], [2, 1]);
});

test("a full line wraps only with the next character", () => {
  const screen = new Screen(3, 2);
  screen.write("abc\r\nd");
  assert.deepEqual(shown(screen), ["abc", "d"]);
});

test("the cursor moves and lines are erased", () => {
  const screen = new Screen(10, 3);
  screen.write("hello\x1b[2Dp!\x1b[1;1HJ\x1b[2;3Hx\x1b[1K");
  assert.deepEqual(shown(screen), ["Jelp!", "", ""]);
  screen.write("\x1b[H\x1b[J");
  assert.deepEqual(shown(screen), ["", "", ""]);
});

test("a sequence may come in pieces", () => {
  const screen = new Screen(10, 2);
  screen.write("\x1b[3");
  screen.write("1mred\x1b[0m");
  screen.write("\x1b]0;title");
  screen.write("\x07!");
  assert.equal(screen.text(), "red!");
  assert.equal(screen.lines[0]?.[0]?.style.foreground, 1);
  assert.equal(screen.lines[0]?.[3]?.style.foreground, undefined);
});

test("colours of the palette", () => {
  const screen = new Screen(10, 1);
  screen.write("\x1b[1;38;5;12;48;2;1;2;3mx\x1b[7;4my");
  assert.deepEqual(screen.lines[0]?.[0]?.style, { bold: true, foreground: 12, background: undefined });
  assert.equal(screen.lines[0]?.[1]?.style.inverse, true);
});

test("editors have a screen of their own", () => {
  const screen = new Screen(10, 3);
  screen.write("$ vi\r\n\x1b[?1049h\x1b[2J\x1b[Hfile\x1b[?1h");
  assert.deepEqual(shown(screen), ["file", "", ""]);
  assert.ok(screen.applicationKeys);
  screen.write("\x1b[?1049l");
  assert.deepEqual(shown(screen), ["$ vi", "", ""]);
  assert.equal(screen.row, 1);
});

test("regions scroll by themselves", () => {
  const screen = new Screen(5, 4);
  screen.write("1\r\n2\r\n3\r\n4\x1b[2;3r\x1b[3;1H\n");
  assert.deepEqual(shown(screen), ["1", "3", "", "4"]);
  screen.write("\x1b[2;1H\x1bM");
  assert.deepEqual(shown(screen), ["1", "", "3", "4"]);
  screen.write("\x1b[r\x1b[1;1H\x1b[L");
  assert.deepEqual(shown(screen), ["", "1", "", "3"]);
  assert.equal(screen.past.length, 0);
});

test("numbers without measure do no more than the screen is large", () => {
  const screen = new Screen(5, 3);
  for (const final of "ABCDEFGHJKLMPSTX@adefr`") {
    screen.write(`abc\x1b[2;2H\x1b[999999999999${final}`);
    screen.write(`\x1b[999999999999;999999999999${final}`);
    assert.ok(screen.lines.length <= 3 && screen.lines.every((line) => line.length <= 5), final);
  }
  assert.ok(screen.past.length <= 2000);
  assert.ok(screen.row < 3 && screen.column < 5);
});

test("it says where the cursor is when it is asked", () => {
  const screen = new Screen(10, 3);
  screen.write("ab\x1b[6n");
  assert.equal(screen.answer, "\x1b[1;3R");
});

test("a smaller screen keeps the line of the cursor", () => {
  const screen = new Screen(10, 4);
  screen.write("1\r\n2\r\n3\r\n4");
  screen.resize(10, 2);
  assert.deepEqual(shown(screen), ["3", "4"]);
  assert.equal(screen.row, 1);
  screen.resize(10, 4);
  assert.equal(screen.lines.length, 4);
});

test("keys", () => {
  const key = (name: string, more = {}) => ({ key: name, ctrlKey: false, altKey: false, metaKey: false, ...more });
  assert.equal(keySequence(key("a"), false), "a");
  assert.equal(keySequence(key("c", { ctrlKey: true }), false), "\x03");
  assert.equal(keySequence(key("b", { altKey: true }), false), "\x1bb");
  assert.equal(keySequence(key("ArrowUp"), false), "\x1b[A");
  assert.equal(keySequence(key("ArrowUp"), true), "\x1bOA");
  assert.equal(keySequence(key("Shift"), false), undefined);
  assert.equal(keySequence(key("v", { metaKey: true }), false), undefined);
});

test("messages of a stream", () => {
  assert.deepEqual([...frame(Channel.Stdin, new Uint8Array([65]))], [0, 65]);
  assert.equal(new TextDecoder().decode(resizeFrame(80, 24).subarray(1)), '{"Width":80,"Height":24}');
  assert.equal(ending('{"status":"Success"}'), "The command has ended.");
  assert.equal(ending('{"status":"Failure","message":"exit 3"}'), "exit 3");
});
