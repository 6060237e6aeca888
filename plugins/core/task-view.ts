import type { MediaItem } from '../../schemas/media.ts'
import type { TaskView } from '../../schemas/task.ts'
import { isTerminal, publicStatus } from '../../src/jobs/task-states.ts'
import type { ShownTask } from '../../src/store/task-row.ts'

/**
 * A task as callers see it, with seed B's fields.
 * @param media the gateway's copies, with signed URLs
 */
export function toTaskView(task: ShownTask, media: readonly MediaItem[] = []): TaskView {
  // A paused task keeps the reason for its pause; to the caller it is still processing.
  const error = isTerminal(task.state) ? task.error : null
  return {
    id: task.id,
    kind: task.kind,
    status: publicStatus(task.state),
    prompt: task.prompt,
    video: task.result?.video ?? null,
    ...(task.kind === 'image' && task.result !== null ? { images: task.result.images } : {}),
    ...(task.result !== null && task.result.prompt !== task.prompt
      ? { enhancedPrompt: task.result.prompt }
      : {}),
    ...(task.state === 'completed' ? { media: [...media] } : {}),
    error: error?.message ?? null,
    ...(error === null ? {} : { errorDetail: { type: error.type, code: error.code } }),
    createdAt: new Date(task.createdAt).toISOString(),
    completedAt: task.completedAt === null ? null : new Date(task.completedAt).toISOString()
  }
}
