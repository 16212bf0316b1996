/** Components that are drawn anew only when what they are given has changed. */

import { Component, type ComponentChildren, h } from "preact";

/** Compares what `draw` is given one by one, by identity; what it reads of hooks is its own affair. */
export function memo<P extends object>(draw: (props: P) => ComponentChildren): (props: P & { key?: string }) => ComponentChildren {
  class Kept extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const [before, after] = [Object.entries(this.props), next as Record<string, unknown>];
      return before.length !== Object.keys(next).length || before.some(([name, value]) => value !== after[name]);
    }
    override render() {
      return h(draw as never, this.props as never);
    }
  }
  return (props) => h(Kept as never, props as never);
}
