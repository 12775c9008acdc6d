/* 表格填报: moving between cells and pasting a block. Each row saves itself as a form does
 * (ledger.js); without JavaScript each row has a button of its own.
 *
 *   <table data-grid>                 rows of <td data-column="n"> with a field [data-cell]
 *   <th data-name data-short-name>    the organization of the row
 *   [data-pasted], [data-pasted-text], [data-pasted-undo]   what a paste did, and its undoing
 */
(() => {
  "use strict";

  const table = document.querySelector("[data-grid]");
  if (!table) return;

  const rows = () => Array.from(table.tBodies[0].rows);
  const cellOf = (row, column) => row.querySelector(`[data-column="${column}"] [data-cell]`);
  const columnOf = (cell) => Number(cell.closest("[data-column]").dataset.column);
  const lastColumn = Math.max(
    ...Array.from(table.querySelectorAll("[data-column]"), (one) => Number(one.dataset.column)),
  );
  const before = new WeakMap(); // cell → text when it was entered

  /* ---- Moving ---- */
  const enter = (cell) => {
    if (!cell) return false;
    cell.focus();
    cell.select();
    return true;
  };

  const vertical = (cell, step) => {
    const all = rows();
    let at = all.indexOf(cell.closest("tr")) + step;
    for (; all[at]; at += step) {
      const next = cellOf(all[at], columnOf(cell));
      if (next) return enter(next);
    }
    return false;
  };

  const horizontal = (cell, step) => {
    const row = cell.closest("tr");
    for (let at = columnOf(cell) + step; at > 0 && at <= lastColumn; at += step) {
      const next = cellOf(row, at);
      if (next) return enter(next);
    }
    return false;
  };

  /* Everything is selected as long as the cell was only entered: then arrows leave it. */
  const isWhole = (cell) => cell.selectionStart === 0 && cell.selectionEnd === cell.value.length;
  const isAtStart = (cell) => isWhole(cell) || cell.selectionEnd === 0;
  const isAtEnd = (cell) => isWhole(cell) || cell.selectionStart === cell.value.length;
  const isLine = (cell) => cell.tagName === "INPUT";

  const MOVES = {
    ArrowUp: (cell) => (isLine(cell) || isAtStart(cell)) && vertical(cell, -1),
    ArrowDown: (cell) => (isLine(cell) || isAtEnd(cell)) && vertical(cell, 1),
    ArrowLeft: (cell) => isAtStart(cell) && horizontal(cell, -1),
    ArrowRight: (cell) => isAtEnd(cell) && horizontal(cell, 1),
  };

  const write = (cell, text) => {
    cell.value = text;
    cell.dispatchEvent(new Event("input", { bubbles: true }));
  };

  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("[data-cell]");
    if (!cell || event.isComposing || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (event.altKey && !isLine(cell)) {
        cell.setRangeText("\n", cell.selectionStart, cell.selectionEnd, "end");
        cell.dispatchEvent(new Event("input", { bubbles: true }));
      } else if (!event.altKey) {
        vertical(cell, event.shiftKey ? -1 : 1);
      }
      return;
    }
    if (event.altKey || event.shiftKey) return;
    if (event.key === "F2") {
      event.preventDefault();
      cell.setSelectionRange(cell.value.length, cell.value.length);
    } else if (event.key === "Escape") {
      if (before.has(cell) && cell.value !== before.get(cell)) write(cell, before.get(cell));
      cell.select();
    } else if (MOVES[event.key] && MOVES[event.key](cell)) {
      event.preventDefault();
    }
  });

  let isPressed = false; // by the mouse: the place in the text that was pressed stays
  table.addEventListener("pointerdown", (event) => {
    isPressed = Boolean(event.target.closest("[data-cell]"));
  });
  table.addEventListener("focusin", (event) => {
    const cell = event.target.closest("[data-cell]");
    if (!cell) return;
    before.set(cell, cell.value);
    if (!isPressed) cell.select();
    isPressed = false;
  });

  /* ---- Pasting ---- */

  /* Rows of cells, as spreadsheets copy them: a cell with lines or tabs in it stands in quotes. */
  const blockOf = (text) => {
    const quoted = /"((?:[^"]|"")*)"(?=\t|\n|$)/y;
    const plain = /[^\t\n]*/y;
    const source = text.replace(/\r\n?/g, "\n").replace(/\n$/, "");
    const block = [[]];
    for (let at = 0; at <= source.length; at += 1) {
      quoted.lastIndex = plain.lastIndex = at;
      let found = quoted.exec(source);
      let cell = found && found[1].replace(/""/g, '"');
      if (!found || !/[\n\t"]/.test(found[1])) {
        found = plain.exec(source);
        cell = found[0];
      }
      block[block.length - 1].push(cell);
      at += found[0].length;
      if (source[at] === "\n") block.push([]);
    }
    return block;
  };

  /* Lines alone, from a letter, are one text; from a sheet they come with a table. */
  const isBlock = (text, html, cell) => {
    const lines = text.replace(/\r\n?/g, "\n").replace(/\n$/, "");
    if (lines.includes("\t")) return true;
    if (/<t[dr][\s>]/i.test(html)) return true;
    return lines.includes("\n") && (!cell || isLine(cell));
  };

  const same = (a, b) => a.replace(/\s/g, "") === b.replace(/\s/g, "");
  const isNamed = (row, text) => {
    const head = row.querySelector("[data-name]").dataset;
    return same(text, head.name) || same(text, head.shortName);
  };
  const nameOf = (row) => row.querySelector("[data-name]").dataset.shortName;

  const notice = document.querySelector("[data-pasted]");
  const text = document.querySelector("[data-pasted-text]");
  const undoButton = document.querySelector("[data-pasted-undo]");
  let pasted = []; // [cell, text before, text written]

  const say = (message) => {
    notice.hidden = false;
    undoButton.hidden = pasted.length === 0;
    text.textContent = message;
  };

  const paste = (block, start, column) => {
    const lines = rows().slice(start);
    const pairs = block.map((cells, index) => [cells, lines[index]]).filter(([, row]) => row);
    /* The names come along: they are checked, never written. */
    if (column <= 1 && pairs.some(([cells, row]) => isNamed(row, cells[0]))) column = 0;
    pasted = [];
    if (column === 0) {
      const other = pairs.find(([cells, row]) => cells[0].trim() && !isNamed(row, cells[0]));
      if (other) {
        return say(
          `没有写入：粘贴内容中的“${other[0][0].trim()}”对着表中的“${nameOf(other[1])}”，` +
            "请按表中的顺序排好再粘贴。",
        );
      }
    }
    const locked = [];
    let closed = false;
    let beyond = false;
    pairs.forEach(([cells, row]) => {
      if (!row.querySelector("[data-cell]")) return locked.push(nameOf(row));
      cells.forEach((value, index) => {
        const at = column + index;
        if (at === 0) return;
        const cell = cellOf(row, at);
        if (at > lastColumn) beyond = beyond || Boolean(value.trim());
        else if (!cell) closed = closed || Boolean(value.trim());
        else if (cell.value !== value) {
          const old = cell.value;
          write(cell, isLine(cell) ? value.replace(/\s*\n\s*/g, "") : value);
          pasted.push([cell, old, cell.value]);
        }
      });
    });
    const said = [`已粘贴 ${pairs.length - locked.length} 行，改动 ${pasted.length} 格。`];
    if (closed) said.push("上级审核的等次等不能在这里填写的栏目没有写入。");
    if (locked.length) said.push(`只读的行没有写入：${locked.join("、")}。`);
    if (block.length > pairs.length) {
      said.push(`最后 ${block.length - pairs.length} 行超出本页的表格，没有写入。`);
    }
    if (beyond) said.push("右边超出表格的内容没有写入。");
    say(said.join(""));
  };

  undoButton.addEventListener("click", () => {
    /* What was written over since stays. */
    const still = pasted.filter(([cell, , written]) => cell.value === written);
    const others = pasted.length - still.length;
    still.forEach(([cell, old]) => write(cell, old));
    pasted = [];
    say(`已恢复 ${still.length} 格。` + (others ? `粘贴后又改过的 ${others} 格保持不动。` : ""));
  });

  document.addEventListener("paste", (event) => {
    const place = event.target.closest && event.target.closest("[data-grid] tr");
    if (!place || !table.tBodies[0].contains(place)) return;
    const cell = event.target.closest("[data-cell]");
    const copied = event.clipboardData.getData("text/plain");
    if (!isBlock(copied, event.clipboardData.getData("text/html"), cell)) return;
    event.preventDefault();
    paste(blockOf(copied), rows().indexOf(place), cell ? columnOf(cell) : 0);
  });

  /* ---- What a save found out ---- */
  table.addEventListener("ledger:saved", (event) => {
    event.target.querySelectorAll("[data-cell]").forEach((cell) => {
      const place = cell.closest("[data-column]");
      const isWrong = Boolean(place.querySelector(".finding--error"));
      place.classList.toggle("filling__cell--error", isWrong);
      if (isWrong) cell.setAttribute("aria-invalid", "true");
      else cell.removeAttribute("aria-invalid");
    });
  });
})();
