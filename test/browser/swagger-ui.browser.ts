import type { Page } from 'playwright-core'
import t from 'tap'
import { visit } from '../support/browser.ts'
import { startGateway, USER } from '../support/gateway.ts'

/** Opens an operation, puts a body into it, executes it and returns what is shown as the answer. */
async function execute(
  page: Page,
  operationId: string,
  body: object
): Promise<{ status: string; body: Record<string, unknown> }> {
  const block = page.locator(`.opblock[id$="-${operationId}"]`)
  if (!(await block.getAttribute('class'))?.includes('is-open'))
    await block.locator('.opblock-summary').click()
  await block.locator('textarea.body-param__text').fill(JSON.stringify(body))
  await block.locator('button.execute').click()
  const answer = block.locator('.live-responses-table .response')
  await answer.waitFor()
  return {
    status: (await answer.locator('.response-col_status').first().innerText()).trim().split(/\s/)[0] ?? '',
    body: JSON.parse(await answer.locator('.highlight-code code').first().innerText())
  }
}

t.test("Swagger UI: 'Try it out' works", async (t) => {
  const gateway = await startGateway(t)
  const { page, complaints, screenshot } = await visit(t, `${await gateway.listen()}/docs`)
  await page.locator('.opblock').first().waitFor()
  await screenshot('docs')

  await t.test('a chat turn', async (t) => {
    const created = await execute(page, 'createConversation', { userId: USER })
    t.equal(created.status, '200')
    const { conversationId, clientId, conversationSignature } = created.body
    const answered = await execute(page, 'chat', {
      prompt: 'My favourite colour is green.',
      conversationId,
      clientId,
      conversationSignature,
      invocationId: 0
    })
    t.equal(answered.status, '200')
    t.match(answered.body.message, /green/)
    t.equal(answered.body.invocationId, 1)
    await screenshot('docs-chat', false)
  })

  await t.test('an image as nobody', async (t) => {
    const { status, body } = await execute(page, 'createImage', { query: 'a red boat' })
    t.equal(status, '200')
    t.equal((body.data as { images: string[] }).images.length, 4)
  })

  await t.test('the authorisation dialog', async (t) => {
    await page.locator('.auth-wrapper .authorize').first().click()
    const dialog = page.locator('.dialog-ux .modal-ux')
    await dialog.waitFor()
    const userId = dialog.locator('.auth-container', { hasText: 'X-User-Id' })
    await userId.locator('input').fill(USER)
    await screenshot('docs-authorize', false)
    await userId.locator('button', { hasText: 'Authorize' }).click()
    await userId.locator('button', { hasText: 'Logout' }).waitFor()
    await dialog.locator('.close-modal').click()

    const [request] = await Promise.all([
      page.waitForRequest(/\/create\/image$/),
      execute(page, 'createImage', { query: 'a blue boat' })
    ])
    t.equal(request.headers()['x-user-id'], USER)
    const [newest] = await gateway.app.store.tasks.list(USER, { limit: 1 })
    t.equal(newest?.prompt, 'a blue boat', 'the creation belongs to that name')
  })

  t.strictSame(complaints, [])
  t.strictSame([...gateway.sim.violations], [])
})

t.test('the page of Swagger UI loads nothing from elsewhere, and over plain http too', async (t) => {
  const gateway = await startGateway(t)
  const base = await gateway.listen()
  const { page } = await visit(t, 'about:blank')
  const hosts = new Set<string>()
  page.on('request', (request) => {
    if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).origin)
  })
  const answer = await page.goto(`${base}/docs`)
  await page.locator('.opblock').first().waitFor()
  t.strictSame([...hosts], [base])
  t.notMatch(answer?.headers()['content-security-policy'], /upgrade-insecure-requests/)
})
