"""What the demo shows: steps, a live line of progress (without a terminal: a plain line now and then), a table."""

import os
import shutil
import sys
import time

BAR_CELLS = 16
PLAIN_EVERY_S = 3.0


class Screen:
    def __init__(self, stream=sys.stdout):
        self.stream = stream
        self.is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.has_colour = self.is_live and "NO_COLOR" not in os.environ
        self.has_live_line = False
        self.last_plain = time.monotonic()

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.has_colour else text

    def bold(self, text):
        return self.paint("1", text)

    def good(self, text):
        return self.paint("32", text)

    def bad(self, text):
        return self.paint("31;1", text)

    def line(self, text=""):
        self.clear_live_line()
        print(text, file=self.stream, flush=True)

    def step(self, name, text, seconds=None):
        took = f"  ({seconds:.1f} s)" if seconds is not None else ""
        self.line(f"  {self.bold(f'{name:<9}')} {text}{took}")

    def event(self, name, text):
        self.line(f"  {self.paint('33;1', f'{name:<9}')} {text}")

    def clear_live_line(self):
        if self.has_live_line:
            self.stream.write("\r\033[K")
            self.has_live_line = False

    def progress(self, done, total, detail):
        """Redraws the live line; without a terminal, says so every few seconds."""
        text = f"{done:>3} of {total}   {detail}"
        if self.is_live:
            cells = BAR_CELLS * done // max(total, 1)
            line = f"  [{'#' * cells}{'.' * (BAR_CELLS - cells)}] {text}"
            self.stream.write("\r\033[K" + line[: shutil.get_terminal_size().columns - 1])
            self.stream.flush()
            self.has_live_line = True
        elif time.monotonic() - self.last_plain >= PLAIN_EVERY_S:
            self.last_plain = time.monotonic()
            self.step("", text)

    def table(self, header, rows):
        """Numbers to the right, the first and the last column to the left."""
        widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

        def cells(row):
            last = len(row) - 1
            return "  ".join(
                text.ljust(width) if column in (0, last) else text.rjust(width)
                for column, (text, width) in enumerate(zip(row, widths))
            )

        self.line("  " + self.bold(cells(header)).rstrip())
        for row in rows:
            self.line("  " + cells(row).rstrip())
