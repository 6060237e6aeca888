/** The loop of due work, on a clock that stands still until it is moved. */
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import type { Clock } from '../../src/clock.ts'
import { createDueLoop, type DueLoop, STORE_PAUSE_MS } from '../../src/jobs/due-loop.ts'

function standingClock() {
  let now = 0
  const timers = new Set<{ at: number; run: () => void }>()
  const timer = (ms: number, run: () => void) => {
    const one = { at: now + ms, run }
    timers.add(one)
    return () => void timers.delete(one)
  }
  const clock: Clock = {
    now: () => now,
    timer,
    sleep: (ms) => new Promise((resolve) => timer(ms, () => resolve(undefined as never)))
  }
  return {
    clock,
    async pass(ms: number) {
      now += ms
      for (const one of [...timers]) {
        if (one.at > now) continue
        timers.delete(one)
        one.run()
      }
      await settled()
    }
  }
}

async function settled(): Promise<void> {
  for (let n = 0; n < 20; n++) await turn()
}

function rig(pass: (loop: DueLoop) => Promise<void>) {
  const { clock, pass: wait } = standingClock()
  const reconciled: string[][] = []
  const loop = createDueLoop({
    name: 'test',
    clock,
    log: { error() {} },
    pass,
    async reconcile(busy) {
      reconciled.push([...busy])
    },
    nextDueAt: async () => undefined
  })
  return { loop, reconciled, wait }
}

t.test('a step ends with its own pass, also when there is always something to do', async (t) => {
  let passes = 0
  const { loop } = rig(async (loop) => {
    passes += 1
    loop.kick()
    await turn()
  })
  loop.kick()
  await loop.step()
  const seen = passes
  t.ok(seen <= 3, `${seen} passes`)
  await settled()
  t.ok(passes > seen, 'the loop goes on')
  await loop.close()
})

t.test('a step that comes while a pass is under way sees a whole one of its own', async (t) => {
  const looks: (() => void)[] = []
  const { loop } = rig(() => new Promise((resolve) => looks.push(resolve)))
  loop.kick()
  let done = false
  const step = loop.step().then(() => {
    done = true
  })
  looks[0]?.()
  await settled()
  t.strictSame([looks.length, done], [2, false])
  looks[1]?.()
  await step
  await loop.close()
})

t.test('steps fail with the look at the store, and the loop looks again', async (t) => {
  let broken = true
  let passes = 0
  const { loop, reconciled, wait } = rig(async () => {
    passes += 1
    await turn()
    if (broken) throw new Error('away')
  })
  const steps = await Promise.allSettled([loop.step(), loop.step()])
  t.strictSame(
    steps.map(({ status }) => status),
    ['rejected', 'rejected']
  )
  broken = false
  t.equal(passes, 1)
  await wait(1000)
  t.strictSame([passes, reconciled.length], [2, 1])
  await wait(14_000)
  t.equal(reconciled.length, 2, 'a statement that was carried out late is found, too')
  await wait(60_000)
  t.equal(reconciled.length, 2)
  await loop.close()
})

t.test('work that failed is put right once it is busy no more', async (t) => {
  let claimed = false
  const { loop, reconciled, wait } = rig(async (loop) => {
    if (claimed) return
    claimed = true
    loop.work('one', async () => {
      throw new Error('away')
    })
  })
  await loop.step()
  // Other work comes and goes meanwhile.
  await loop.step()
  t.strictSame(reconciled, [], 'it may still be at it')
  await wait(STORE_PAUSE_MS)
  t.strictSame(reconciled, [[]])
  await loop.close()
})

t.test('a loop that is closed leaves nobody waiting', async () => {
  const { loop } = rig(async () => {
    await turn()
  })
  loop.kick()
  const step = loop.step()
  await loop.close()
  await step
  await loop.step()
})
