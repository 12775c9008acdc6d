/* What the pages gain from JavaScript; without it everything still works by plain forms.
 *
 *   <form data-autosave="/address/">    saves itself while typing
 *   [data-autosave-scope]               around the form and fields that stand outside of it (a row)
 *   [data-autosave-status]              in there, or in the page: says how that goes (aria-live)
 *   [data-findings]                     in there: its content is replaced by findings_html
 *   <button data-confirm="question">    asks before it acts
 *   <input type=checkbox data-select-all>, [data-select], [data-selected-count]   batch tables
 *   <button data-copy="#id" hidden>     copies the text of #id
 *   <button data-print hidden>          prints
 *   <a data-key="j">                    is pressed by that key, outside of fields; a field is entered
 *   [data-key-item]                     j and k go from one to the next, x ticks the row's box
 *   <form data-key-choices="name">      1, 2, 3 … choose among its radio buttons of this name
 *   <details data-keys hidden>          says which keys there are
 *   <button data-keys-toggle>           switches these keys off and on
 *   [data-focus]                        takes the focus when the page opens
 *   [data-announce]                     what is said aloud when htmx brings in another
 *   <select data-submit>                sends its form when it changes
 *   [data-until-saved]                  is gone as soon as something is saved
 */
(() => {
  "use strict";

  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  const SAME_PRESS = 5000; // ms in which a second press is the first one once more

  /* The browser asks in its own words whether to leave the page. */
  const ask = (event) => {
    event.preventDefault();
    event.returnValue = "";
  };

  /* ---- Autosave ----
   * POSTs the whole form to data-autosave. Answers:
   *   200 {token, saved_at, findings_html, replace: {id: html}, values: {name: text}}  (all optional)
   *   409 {conflict_url}   somebody else saved; the button sends what was typed there
   *   4xx {message}        refused: said, not repeated
   * Anything else is repeated, later each time. One request at a time, so the token is never stale;
   * and few of a page at once, where many rows were pasted. Stored: "ledger:saved" at the scope.
   */
  const MOST_REQUESTS = 2;
  let requests = 0;

  class Autosave {
    constructor(form) {
      this.form = form;
      this.scope = form.closest("[data-autosave-scope]") || form;
      this.status =
        this.scope.querySelector("[data-autosave-status]") ||
        document.querySelector("[data-autosave-status]");
      this.changes = 0; // edits seen
      this.saved = 0; // edits stored
      this.failures = 0;
      this.stopped = false;
      this.signedOut = false;
      this.request = null;
      this.scope.addEventListener("input", () => this.changed());
      this.scope.addEventListener("change", () => this.changed());
      this.scope.addEventListener("focusout", () => this.dirty && !this.failures && this.save());
      form.addEventListener("submit", (event) => this.submit(event));
      window.addEventListener("beforeunload", (event) => {
        if (this.dirty && !this.leaving) ask(event);
      });
      window.addEventListener("pageshow", () => (this.leaving = false));
      window.addEventListener("online", () => this.dirty && this.save());
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState === "hidden" && this.dirty) this.save();
      });
    }

    get dirty() {
      return this.saved < this.changes;
    }

    changed() {
      this.changes += 1;
      if (this.stopped) return;
      if (!this.failures) {
        this.say("", "有未保存的修改");
        this.later(1500);
      }
    }

    later(delay) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.save(), delay);
    }

    say(state, text) {
      if (!this.status) return;
      this.status.dataset.state = state;
      if (this.status.textContent !== text) this.status.textContent = text;
    }

    async save() {
      clearTimeout(this.timer);
      if (this.stopped || this.leaving) return;
      if (this.request || requests >= MOST_REQUESTS) return this.later(500);
      const upTo = this.changes;
      const abort = new AbortController();
      const limit = setTimeout(() => abort.abort(), 20000);
      this.say("saving", "正在保存…");
      const sent = this.body();
      requests += 1;
      this.request = fetch(this.form.dataset.autosave, {
        method: "POST",
        body: sent,
        headers: { Accept: "application/json", "X-Requested-With": "fetch" },
        credentials: "same-origin",
        redirect: "manual", // a redirect means that the session has ended
        signal: abort.signal,
      });
      try {
        await this.answer(await this.request, upTo, sent);
      } catch (error) {
        this.retry("网络中断，已保存在本页，恢复后自动重试");
      } finally {
        clearTimeout(limit);
        requests -= 1;
        this.request = null;
      }
    }

    /* After signing in again in another tab the old CSRF value no longer holds. */
    body() {
      const cookie = document.cookie.match(/csrftoken=([^;]+)/);
      const field = this.form.elements.csrfmiddlewaretoken;
      if (cookie && field) field.value = cookie[1];
      return new FormData(this.form);
    }

    async answer(response, upTo, sent) {
      this.signedOut = response.type === "opaqueredirect";
      if (this.signedOut) {
        return this.retry("登录已过期：请另开标签页重新登录，本页内容随后会自动保存");
      }
      const json = (response.headers.get("Content-Type") || "").includes("application/json");
      const data = json ? await response.json() : {};
      if (response.status === 409) return this.conflict(data);
      if (response.ok && json) return this.stored(data, upTo, sent);
      if (response.status >= 500 || response.status === 429 || response.status === 408) {
        return this.retry();
      }
      this.say("failed", "未能保存：" + (data.message || "请复制已填文字，刷新页面后再试"));
    }

    stored(data, upTo, sent) {
      this.saved = upTo;
      this.failures = 0;
      const token = this.form.elements.token;
      if (token && data.token !== undefined) token.value = data.token;
      this.say("saved", "已自动保存 " + (data.saved_at || ""));
      if (data.findings_html !== undefined) {
        all("[data-findings]", this.scope).forEach((place) => (place.innerHTML = data.findings_html));
      }
      Object.keys(data.replace || {}).forEach((id) => {
        const place = document.getElementById(id);
        if (place) place.innerHTML = data.replace[id];
      });
      this.complete(data.values || {}, sent);
      this.scope.dispatchEvent(new CustomEvent("ledger:saved", { bubbles: true }));
      if (this.dirty) this.later(1500);
    }

    /* What the server completed, for fields that still hold what was sent and aren't in use. */
    complete(values, sent) {
      const now = new FormData(this.form);
      Object.keys(values).forEach((name) => {
        const field = this.form.elements[name];
        if (!field || field === document.activeElement) return;
        if (now.get(name) === sent.get(name)) field.value = values[name];
      });
    }

    retry(text) {
      this.failures += 1;
      const seconds = Math.min(60, 2 ** this.failures);
      this.say("failed", text || "未能保存，将重试（已填内容仍在本页，请勿关闭）");
      this.later(seconds * 1000);
    }

    /* The button sends what was typed here, so the other page can show both. */
    conflict(data) {
      this.stopped = true;
      this.say("conflict", "内容已在别处被修改，本页的修改尚未保存。");
      if (!this.status || !data.conflict_url) return;
      const button = document.createElement("button");
      button.className = "button button--small button--primary";
      button.textContent = "对照两份内容";
      button.formAction = data.conflict_url;
      button.formMethod = "post";
      button.formNoValidate = true;
      if (!this.form.contains(this.status)) {
        if (!this.form.id) this.form.id = "autosave-form";
        button.setAttribute("form", this.form.id);
      }
      this.status.append(" ", button);
    }

    /* A running save brings a new token: wait for it, then send the form with that. */
    async submit(event) {
      if (event.defaultPrevented) return;
      clearTimeout(this.timer);
      if (this.signedOut) {
        event.preventDefault(); // the sign-in page would come in the place of what was typed
        return this.save();
      }
      if (!this.request && !this.leaving) {
        this.leaving = true;
        setTimeout(() => (this.leaving = false), SAME_PRESS); // if the page is still there
        return;
      }
      event.preventDefault();
      if (this.leaving) return;
      const submitter = event.submitter;
      while (this.request) await new Promise((done) => setTimeout(done, 100));
      clearTimeout(this.timer);
      if (!this.stopped) this.form.requestSubmit(submitter || undefined);
    }
  }

  /* ---- Forms without autosave ----
   * What was typed is not left without a question, and a second press sends nothing. No form is sent
   * without a network before one is asked, since the page would be gone.
   */
  const OFFLINE = "网络可能已经中断，现在提交会丢失所填内容。取消后内容仍在本页。仍要提交吗？";
  const typed = new Set();
  const pressed = new WeakMap(); // form → when

  const isWatched = (form) => form.matches("[method=post]:not([data-autosave])");

  document.addEventListener("input", ({ target }) => {
    const isSignedIn = "printed" in document.body.dataset; // before, there is little to lose
    if (!isSignedIn || !target.form || !isWatched(target.form)) return;
    if (target.matches("textarea, input[type=text]")) typed.add(target.form);
  });
  window.addEventListener("beforeunload", (event) => {
    if (Array.from(typed).some((form) => form.isConnected)) ask(event);
  });
  window.addEventListener("pageshow", () => all("form").forEach((form) => pressed.delete(form)));

  // In the capture phase, so that what is stopped here is sent by nobody else either.
  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!form.matches("[method=post]")) return;
      const isSame = Date.now() - (pressed.get(form) || 0) < SAME_PRESS;
      if (isSame || !(navigator.onLine || window.confirm(OFFLINE))) {
        event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      if (isWatched(form)) pressed.set(form, Date.now()); // the others see to it by themselves
      typed.delete(form);
    },
    true,
  );

  document.addEventListener("ledger:saved", () => {
    all("[data-until-saved]").forEach((one) => one.remove());
  });

  /* ---- Batch tables ---- */
  const count = (scope) => {
    const boxes = all("[data-select]:not(:disabled)", scope);
    const chosen = boxes.filter((box) => box.checked).length;
    all("[data-select-all]", scope).forEach((box) => {
      box.checked = boxes.length > 0 && chosen === boxes.length;
      box.indeterminate = chosen > 0 && chosen < boxes.length;
    });
    all("[data-selected-count]", scope).forEach((place) => {
      place.textContent = `已选 ${chosen} 个，本页共 ${boxes.length} 个`;
    });
    boxes.forEach((box) => {
      const row = box.closest("tr");
      if (row) row.classList.toggle("is-selected", box.checked);
    });
  };

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-submit]") && box.form) return box.form.requestSubmit();
    if (!box.matches("[data-select-all], [data-select]")) return;
    const scope = box.closest("form") || document;
    if (box.matches("[data-select-all]")) {
      all("[data-select]:not(:disabled)", scope).forEach((one) => (one.checked = box.checked));
    }
    count(scope);
  });

  /* ---- Buttons ---- */
  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // plain http: the old way
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("copy refused");
  };

  // In the capture phase, so that a refused question also stops htmx.
  document.addEventListener(
    "click",
    (event) => {
      const button = event.target.closest("[data-confirm]");
      if (button && !window.confirm(button.dataset.confirm)) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    },
    true,
  );

  // What is printed leaves its trace, by the button or by the browser's own menu.
  window.addEventListener("beforeprint", () => {
    const { printed } = document.body.dataset;
    const headers = document.body.getAttribute("hx-headers");
    if (!printed || !headers) return;
    const body = new URLSearchParams({ path: window.location.pathname });
    fetch(printed, { method: "POST", headers: JSON.parse(headers), body, keepalive: true });
  });

  document.addEventListener("click", async (event) => {
    if (event.target.closest("[data-print]")) window.print();

    const button = event.target.closest("[data-copy]");
    const source = button && document.querySelector(button.dataset.copy);
    if (source) {
      const label = button.querySelector("[aria-live]") || button;
      const before = label.dataset.before || label.textContent;
      label.dataset.before = before;
      try {
        await copy(source.value === undefined ? source.innerText : source.value);
        label.textContent = "已复制";
      } catch (error) {
        label.textContent = "未能复制，请手工选取";
      }
      setTimeout(() => (label.textContent = before), 3000);
    }

    const menu = document.querySelector("details.post[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });

  /* ---- Keys: one letter each, so they can be switched off, and fields are spared ---- */
  let keysOn = true;
  try {
    keysOn = localStorage.getItem("keys") !== "off";
  } catch (error) {
    /* storage is forbidden: keys stay on */
  }

  const sayKeys = () =>
    all("[data-keys-toggle]").forEach((button) => {
      button.textContent = keysOn ? "关闭快捷键" : "启用快捷键";
    });

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-keys-toggle]")) return;
    keysOn = !keysOn;
    try {
      localStorage.setItem("keys", keysOn ? "on" : "off");
    } catch (error) {
      /* holds for this page only */
    }
    sayKeys();
  });

  const TYPED =
    "input:not([type=radio]):not([type=checkbox]), select, textarea, [contenteditable]";

  /* What a key does on this page, as a function; undefined where it does nothing. */
  const pressedBy = (key) => {
    const target = all("[data-key]").find((one) => one.dataset.key === key);
    if (target) return () => (target.matches(TYPED) ? target.focus() : target.click());

    const form = document.querySelector("[data-key-choices]");
    const choices = form && form.querySelectorAll(`[name="${form.dataset.keyChoices}"]`);
    const choice = choices && choices[Number(key) - 1];
    if (choice) {
      return () => {
        choice.click();
        choice.focus();
      };
    }

    const items = all("[data-key-item]");
    const row = document.activeElement.closest("tr");
    const at = items.findIndex((one) => row && row.contains(one));
    if (key === "x" && at >= 0) {
      const box = row.querySelector("[data-select]:not(:disabled)");
      return box ? () => box.click() : undefined;
    }
    const next = items[key === "j" ? at + 1 : key === "k" ? at - 1 : -1];
    return next && (() => next.focus());
  };

  document.addEventListener(
    "toggle", // it stands in the foot, below what is seen
    ({ target }) => {
      if (target.matches("[data-keys]") && target.open) target.scrollIntoView({ block: "nearest" });
    },
    true,
  );

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const field = document.querySelector("[data-keys]") && event.target.closest(TYPED);
      if (field) return field.blur();
      const menu = document.querySelector("details.post[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
      return;
    }
    if (!keysOn || event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    if (event.target.closest(TYPED)) return;
    const pressed = pressedBy(event.key);
    if (pressed) {
      event.preventDefault();
      pressed();
    }
  });

  /* ---- What htmx brings in: a new state is said aloud, not each step on the way ---- */
  const announcer = document.createElement("p");
  announcer.className = "visually-hidden";
  announcer.setAttribute("role", "status");
  const stateOf = () => all("[data-announce]").map((one) => one.textContent.trim()).join("，");
  let announced = stateOf();
  if (announced) document.body.append(announcer);
  document.addEventListener("htmx:afterSwap", () => {
    if (stateOf() !== announced) announcer.textContent = announced = stateOf();
  });

  /* ---- Start, and again for what htmx brings in ---- */
  const start = (root) => {
    all("form[data-autosave]", root).forEach((form) => {
      if (!form.ledgerAutosave) form.ledgerAutosave = new Autosave(form);
    });
    all("[data-print], [data-copy], [data-keys]", root).forEach((one) => (one.hidden = false));
    all("[data-select-all]", root).forEach((box) => count(box.closest("form") || document));
    sayKeys();
  };

  const ready = () => {
    start(document);
    const first = document.querySelector("[data-focus]");
    if (first) first.focus();
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
  document.addEventListener("htmx:load", (event) => start(event.target));
})();
