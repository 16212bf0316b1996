/**
 * The screen of a terminal: what shells, pagers and editors write becomes lines of cells.
 * It knows the part of ECMA-48 and xterm that `TERM=xterm` programs of small images use.
 */

export interface Style {
  /** 0–255 of the palette, or undefined for the default colour. */
  foreground?: number;
  background?: number;
  bold?: boolean;
  underline?: boolean;
  inverse?: boolean;
}

export interface Cell {
  text: string;
  style: Style;
}

const PLAIN: Style = {};
const SCROLLBACK = 2000;

export class Screen {
  /** Lines that have left at the top, the oldest first. */
  readonly past: Cell[][] = [];
  lines: Cell[][];
  row = 0;
  column = 0;
  cursorVisible = true;
  /** Whether cursor keys are to be sent as `ESC O A`. */
  applicationKeys = false;
  /** What the terminal answers to a program's questions. */
  answer = "";
  private style: Style = PLAIN;
  private top = 0;
  private bottom: number;
  private saved = { row: 0, column: 0 };
  private main: { lines: Cell[][]; row: number; column: number } | undefined;
  private wrapNext = false;
  private pending = "";

  constructor(
    public columns: number,
    public rows: number,
  ) {
    this.lines = blank(rows);
    this.bottom = rows - 1;
  }

  resize(columns: number, rows: number): void {
    while (this.lines.length < rows) this.lines.push([]);
    while (this.lines.length > rows) {
      if (this.row < this.lines.length - 1 && (this.lines.at(-1)?.length ?? 0) === 0) this.lines.pop();
      else {
        this.past.push(this.lines.shift() ?? []);
        this.row = Math.max(0, this.row - 1);
      }
    }
    this.columns = columns;
    this.rows = rows;
    this.top = 0;
    this.bottom = rows - 1;
    this.row = Math.min(this.row, rows - 1);
    this.column = Math.min(this.column, columns - 1);
    this.wrapNext = false;
  }

  write(text: string): void {
    const input = this.pending + text;
    this.pending = "";
    let at = 0;
    while (at < input.length) {
      const character = input[at] ?? "";
      if (character === "\x1b") {
        const length = this.escape(input.slice(at, at + 4096));
        if (length === 0) {
          this.pending = input.slice(at);
          return;
        }
        at += length;
      } else if (character < " " || character === "\x7f") {
        this.control(character);
        at += 1;
      } else {
        const point = String.fromCodePoint(input.codePointAt(at) ?? 32);
        this.put(point);
        at += point.length;
      }
    }
  }

  private put(character: string): void {
    if (this.wrapNext) {
      this.column = 0;
      this.lineFeed();
      this.wrapNext = false;
    }
    const line = this.line();
    while (line.length < this.column) line.push({ text: " ", style: PLAIN });
    line[this.column] = { text: character, style: this.style };
    if (this.column === this.columns - 1) this.wrapNext = true;
    else this.column += 1;
  }

  private line(): Cell[] {
    return (this.lines[this.row] ??= []);
  }

  private control(character: string): void {
    this.wrapNext = false;
    switch (character) {
      case "\r":
        this.column = 0;
        break;
      case "\n":
      case "\v":
      case "\f":
        this.lineFeed();
        break;
      case "\b":
        this.column = Math.max(0, this.column - 1);
        break;
      case "\t":
        this.column = Math.min(this.columns - 1, (Math.floor(this.column / 8) + 1) * 8);
        break;
    }
  }

  private lineFeed(): void {
    if (this.row === this.bottom) this.scrollUp(1);
    else this.row = Math.min(this.rows - 1, this.row + 1);
  }

  private scrollUp(count: number): void {
    for (let index = Math.min(count, this.rows); index > 0; index -= 1) {
      const [gone = []] = this.lines.splice(this.top, 1);
      this.lines.splice(this.bottom, 0, []);
      if (this.top === 0 && this.main === undefined) this.past.push(gone);
    }
    if (this.past.length > SCROLLBACK) this.past.splice(0, this.past.length - SCROLLBACK);
  }

  private scrollDown(count: number): void {
    for (let index = Math.min(count, this.rows); index > 0; index -= 1) {
      this.lines.splice(this.bottom, 1);
      this.lines.splice(this.top, 0, []);
    }
  }

  /** Handles one escape sequence; says how long it is, 0 if it has not come whole. */
  private escape(input: string): number {
    if (input.length < 2) return 0;
    const kind = input[1];
    if (kind === "[") return this.controlSequence(input);
    if (kind === "]" || kind === "P" || kind === "^" || kind === "_") {
      const end = /\x07|\x1b\\/.exec(input.slice(2));
      if (end === null) return input.length >= 4096 ? 2 : 0;
      return 2 + end.index + end[0].length;
    }
    if (kind === "(" || kind === ")" || kind === "#" || kind === "%") return input.length < 3 ? 0 : 3;
    this.wrapNext = false;
    if (kind === "7") this.saved = { row: this.row, column: this.column };
    else if (kind === "8") ({ row: this.row, column: this.column } = this.saved);
    else if (kind === "D") this.lineFeed();
    else if (kind === "E") {
      this.column = 0;
      this.lineFeed();
    } else if (kind === "M") {
      if (this.row === this.top) this.scrollDown(1);
      else this.row = Math.max(0, this.row - 1);
    } else if (kind === "c") this.reset();
    return 2;
  }

  private reset(): void {
    this.lines = blank(this.rows);
    this.style = PLAIN;
    [this.row, this.column, this.top, this.bottom] = [0, 0, 0, this.rows - 1];
    this.main = undefined;
  }

  private controlSequence(input: string): number {
    const match = /^\x1b\[([?>=!]?)([\d;:]*)[ -/]*([@-~])/.exec(input);
    if (match === null) return /^\x1b\[[?>=!]?[\d;:]*[ -/]*$/.test(input) && input.length < 64 ? 0 : 2;
    const [whole, mark, list = "", final = ""] = match;
    const values = list.split(/[;:]/).map((text) => (text === "" ? 0 : Number(text)));
    if (mark === "?") this.mode(values, final);
    else if (mark === "") this.command(final, values);
    return whole.length;
  }

  private mode(values: number[], final: string): void {
    const on = final === "h";
    if (!on && final !== "l") return;
    for (const value of values) {
      if (value === 1) this.applicationKeys = on;
      else if (value === 25) this.cursorVisible = on;
      else if (value === 1049 || value === 47 || value === 1047) this.alternate(on);
    }
  }

  private alternate(on: boolean): void {
    if (on && this.main === undefined) {
      this.main = { lines: this.lines, row: this.row, column: this.column };
      this.lines = blank(this.rows);
    } else if (!on && this.main !== undefined) {
      ({ lines: this.lines, row: this.row, column: this.column } = this.main);
      this.main = undefined;
      this.resize(this.columns, this.rows);
    }
    [this.top, this.bottom] = [0, this.rows - 1];
  }

  private command(final: string, values: number[]): void {
    this.wrapNext = false;
    const first = values[0] ?? 0;
    const count = Math.max(1, first);
    const row = (to: number) => (this.row = Math.min(this.rows - 1, Math.max(0, to)));
    const column = (to: number) => (this.column = Math.min(this.columns - 1, Math.max(0, to)));
    switch (final) {
      case "A":
        row(this.row - count);
        break;
      case "B":
      case "e":
        row(this.row + count);
        break;
      case "C":
      case "a":
        column(this.column + count);
        break;
      case "D":
        column(this.column - count);
        break;
      case "E":
        row(this.row + count);
        column(0);
        break;
      case "F":
        row(this.row - count);
        column(0);
        break;
      case "G":
      case "`":
        column(count - 1);
        break;
      case "d":
        row(count - 1);
        break;
      case "H":
      case "f":
        row(count - 1);
        column(Math.max(1, values[1] ?? 1) - 1);
        break;
      case "J":
        this.eraseScreen(first);
        break;
      case "K":
        this.eraseLine(first);
        break;
      case "L":
        this.within(() => this.scrollDown(count));
        break;
      case "M":
        this.within(() => this.scrollUp(count));
        break;
      case "S":
        this.scrollUp(count);
        break;
      case "T":
        this.scrollDown(count);
        break;
      case "P":
        this.line().splice(this.column, count);
        break;
      case "@":
        this.line().splice(this.column, 0, ...spaces(Math.min(count, this.columns)));
        this.line().splice(this.columns);
        break;
      case "X":
        this.blankOut(this.column, Math.min(this.columns, this.column + count));
        break;
      case "m":
        this.style = styled(this.style, values);
        break;
      case "r":
        this.top = Math.max(0, count - 1);
        this.bottom = Math.min(this.rows, values[1] || this.rows) - 1;
        if (this.top >= this.bottom) [this.top, this.bottom] = [0, this.rows - 1];
        [this.row, this.column] = [0, 0];
        break;
      case "s":
        this.saved = { row: this.row, column: this.column };
        break;
      case "u":
        ({ row: this.row, column: this.column } = this.saved);
        break;
      case "n":
        if (first === 6) this.answer += `\x1b[${this.row + 1};${this.column + 1}R`;
        if (first === 5) this.answer += "\x1b[0n";
        break;
      case "c":
        this.answer += "\x1b[?1;2c";
        break;
    }
  }

  /** Inserting and deleting lines scrolls from the cursor's line on. */
  private within(scroll: () => void): void {
    const top = this.top;
    const kept = this.past.length;
    this.top = this.row;
    scroll();
    this.top = top;
    this.past.splice(kept);
  }

  private eraseScreen(how: number): void {
    if (how === 0) {
      this.eraseLine(0);
      for (let row = this.row + 1; row < this.rows; row += 1) this.lines[row] = [];
    } else if (how === 1) {
      this.eraseLine(1);
      for (let row = 0; row < this.row; row += 1) this.lines[row] = [];
    } else {
      this.lines = blank(this.rows);
      if (how === 3) this.past.length = 0;
    }
  }

  private eraseLine(how: number): void {
    if (how === 0) this.blankOut(this.column, this.columns);
    else if (how === 1) this.blankOut(0, this.column + 1);
    else this.blankOut(0, this.columns);
  }

  private blankOut(from: number, to: number): void {
    const line = this.line();
    const style = this.style.background === undefined ? PLAIN : { background: this.style.background };
    if (to >= line.length && style === PLAIN) line.splice(from);
    else {
      for (let column = line.length; column < from; column += 1) line[column] = { text: " ", style: PLAIN };
      for (let column = from; column < to; column += 1) line[column] = { text: " ", style };
    }
  }

  /** Everything that can be read, the past first. */
  text(): string {
    return [...this.past, ...this.lines]
      .map((line) => Array.from(line, (cell) => cell?.text ?? " ").join(""))
      .join("\n")
      .trimEnd();
  }
}

function blank(rows: number): Cell[][] {
  return Array.from({ length: rows }, () => []);
}

function spaces(count: number): Cell[] {
  return Array.from({ length: count }, () => ({ text: " ", style: PLAIN }));
}

/** A style after `ESC [ … m`. */
function styled(before: Style, values: number[]): Style {
  let style: Style = { ...before };
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? 0;
    if (value === 0) style = {};
    else if (value === 1) style.bold = true;
    else if (value === 4) style.underline = true;
    else if (value === 7) style.inverse = true;
    else if (value === 22) style.bold = false;
    else if (value === 24) style.underline = false;
    else if (value === 27) style.inverse = false;
    else if (value >= 30 && value <= 37) style.foreground = value - 30;
    else if (value === 39) style.foreground = undefined;
    else if (value >= 40 && value <= 47) style.background = value - 40;
    else if (value === 49) style.background = undefined;
    else if (value >= 90 && value <= 97) style.foreground = value - 82;
    else if (value >= 100 && value <= 107) style.background = value - 92;
    else if (value === 38 || value === 48) {
      const colour = values[index + 1] === 5 ? values[index + 2] : undefined;
      if (value === 38) style.foreground = colour;
      else style.background = colour;
      index += values[index + 1] === 2 ? 4 : 2;
    }
  }
  return style;
}

/** What a key press sends to the program; undefined for keys that are the browser's. */
export function keySequence(
  key: { key: string; ctrlKey: boolean; altKey: boolean; metaKey: boolean },
  applicationKeys: boolean,
): string | undefined {
  if (key.metaKey) return undefined;
  const arrows: Record<string, string> = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };
  const arrow = arrows[key.key];
  if (arrow !== undefined) return (applicationKeys ? "\x1bO" : "\x1b[") + arrow;
  const named: Record<string, string> = {
    Enter: "\r",
    Backspace: "\x7f",
    Tab: "\t",
    Escape: "\x1b",
    Delete: "\x1b[3~",
    Insert: "\x1b[2~",
    PageUp: "\x1b[5~",
    PageDown: "\x1b[6~",
  };
  const name = named[key.key];
  if (name !== undefined) return name;
  if (key.key.length !== 1) return undefined;
  if (key.ctrlKey) {
    const code = key.key.toUpperCase().charCodeAt(0);
    return code >= 64 && code < 96 ? String.fromCharCode(code - 64) : undefined;
  }
  return (key.altKey ? "\x1b" : "") + key.key;
}
