import { EventEmitter, once } from 'node:events'

/** Kinds of rows that others wait for. */
export type Topic = 'task' | 'idempotency' | 'key'

/**
 * Who waits for a change of a row hears of it here, whichever gateway made it. Hearing means: look again. It may come
 * without any change, and more than once.
 */
export interface Changes {
  /** @returns the way to stop listening */
  listen(topic: Topic, id: string, onChange: () => void): () => void
  /** Listens to every row of a topic. `id` is absent when changes may have been missed. */
  listenAll(topic: Topic, onChange: (id: string | undefined) => void): () => void
  announce(topic: Topic, id: string): void
  /** Changes may have gone unheard (a lost connection): everybody looks again. */
  announceMissed(): void
}

export function createChanges(): Changes {
  const rows = new EventEmitter().setMaxListeners(0)
  const topics = new EventEmitter().setMaxListeners(0)
  const on = (emitter: EventEmitter, event: string, listener: (id?: string) => void) => {
    emitter.on(event, listener)
    return () => {
      emitter.off(event, listener)
    }
  }
  return {
    listen: (topic, id, onChange) => on(rows, `${topic}:${id}`, () => onChange()),
    listenAll: (topic, onChange) => on(topics, topic, onChange),
    announce(topic, id) {
      rows.emit(`${topic}:${id}`)
      topics.emit(topic, id)
    },
    announceMissed() {
      for (const emitter of [rows, topics]) for (const event of emitter.eventNames()) emitter.emit(event)
    }
  }
}

/**
 * Reads a row, and again each time that it may have changed, until `done` holds for what was read.
 * Nothing is asked in between, however long it takes; rejects with the signal's reason, or with what `read` throws.
 */
export async function waitForRow<T>(
  changes: Changes,
  [topic, id]: readonly [topic: Topic, id: string],
  read: () => Promise<T>,
  done: (row: T) => boolean,
  signal: AbortSignal
): Promise<T> {
  const heard = new EventTarget()
  let told = 0
  // Listening starts before the row is read, so that no change falls between the two.
  const unlisten = changes.listen(topic, id, () => {
    told += 1
    heard.dispatchEvent(new Event('change'))
  })
  try {
    for (;;) {
      signal.throwIfAborted()
      const known = told
      const row = await read()
      signal.throwIfAborted()
      if (done(row)) return row
      // What changed while the row was read is looked at again at once.
      if (told === known) await once(heard, 'change', { signal })
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    unlisten()
  }
}
