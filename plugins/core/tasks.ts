import fp from 'fastify-plugin'
import { createAdaptiveSchedule } from '../../src/jobs/adaptive-schedule.ts'
import { createFixedSchedule } from '../../src/jobs/poll-schedule.ts'
import { createTaskRunner, type TaskRunner } from '../../src/jobs/task-runner.ts'
import { publicStatus } from '../../src/jobs/task-states.ts'
import { createPollStore } from '../../src/store/poll-store.ts'
import type { CreationClient } from '../../src/upstream/creation-client.ts'
import { createImageClient } from '../../src/upstream/image-creator/client.ts'
import { CONSTANTS_VERSION } from '../../src/upstream/image-creator/constants.ts'
import { createCreatorSession } from '../../src/upstream/image-creator/session.ts'
import { createVideoClient } from '../../src/upstream/video-creator/client.ts'
import { DRAIN_MS } from './lifecycle.ts'

declare module 'fastify' {
  interface FastifyInstance {
    taskRunner: TaskRunner
  }
}

const UPSTREAM_OF = { image: 'image-creator', video: 'video-creator' } as const

/** The loop that drives image and video creations. Starts once the service is ready, stops before the store closes. */
export default fp(
  async (fastify) => {
    const { config, clock, instruments, log, tracing, upstream, store, worker, media } = fastify
    const settings = {
      bingUrl: config.BING_URL,
      mediaUrl: config.BING_MEDIA_URL,
      account: upstream.account,
      http: upstream.http,
      clock
    }
    const session = createCreatorSession(settings)
    upstream.probeWith('image-creator', session.check)
    log.info({ url: config.BING_URL, constants: CONSTANTS_VERSION }, 'image and video upstream')
    const adaptive =
      config.POLL_INTERVAL_MS === undefined
        ? createAdaptiveSchedule({ store: createPollStore(store.database), clock, log })
        : undefined
    const runner = createTaskRunner({
      store: store.tasks,
      changes: store.database.changes,
      worker: worker.id,
      archive: media.archive,
      image: observed('image-creator', createImageClient({ ...settings, session })),
      video: observed('video-creator', createVideoClient({ ...settings, session })),
      account: upstream.account,
      upstream: {
        refusal: (kind) => upstream.refusal(UPSTREAM_OF[kind]),
        isTrying: (kind) => upstream.isTrying(UPSTREAM_OF[kind]),
        onChange: upstream.onCircuitChange
      },
      schedule: adaptive ?? createFixedSchedule(config.POLL_INTERVAL_MS),
      clock,
      log,
      concurrency: { image: config.IMAGE_CONCURRENCY, video: config.VIDEO_CONCURRENCY },
      videoTimeoutMs: config.VIDEO_TIMEOUT_MS,
      around: tracing?.taskStep,
      onBegun: ({ kind }, waitedMs) => instruments.queueWait.observe({ kind }, waitedMs / 1000),
      onEnded: ({ kind, state }, tookMs) =>
        instruments.taskDuration.observe({ kind, status: publicStatus(state) }, tookMs / 1000)
    })
    fastify.decorate('taskRunner', runner)
    upstream.onCall(({ name, row }) => {
      if (row !== 'T8') return
      const kind = name === 'image-creator' ? 'image' : name === 'video-creator' ? 'video' : undefined
      const until = upstream.states.map((state) => state.view()).find((state) => state.name === name)?.until
      if (kind !== undefined && until !== undefined) runner.rest(kind, until)
    })
    worker.onEnded(runner.giveBack)
    fastify.addHook('onReady', async () => {
      await adaptive?.start()
      await runner.start()
    })
    fastify.addHook('preClose', async () => {
      await runner.close(DRAIN_MS)
      await adaptive?.close()
    })

    function observed<T>(
      name: 'image-creator' | 'video-creator',
      client: CreationClient<T>
    ): CreationClient<T> {
      return {
        submit: (...args) => upstream.observe(name, 'submit', () => client.submit(...args), args[1]),
        // Not observed: what it can't open is left to the looks, so that it says nothing of the account.
        open: (job, signal) => client.open(job, signal),
        look: (job, signal) => upstream.observe(name, 'poll', () => client.look(job, signal), signal),
        forgetSession: () => client.forgetSession()
      }
    }
  },
  { name: 'tasks', dependencies: ['config', 'upstream', 'store', 'media', 'lifecycle', 'metrics'] }
)
