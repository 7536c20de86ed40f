// One session with the service through the generated client: `just clients` compiles and runs this.
import { deepStrictEqual as same, ok } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { env } from 'node:process';

import { createClient, createConfig } from './tenantry/client/index.js';
import {
    authLogIn, authLogOut, type Problem, type Project, projectsChange, projectsCreate, projectsCreateMany, projectsGet,
    projectsList,
} from './tenantry/index.js';

type Answer<Data, Failure> = { data?: Data; error?: Failure; response?: Response };

const baseUrl = env['SMOKE_URL'] ?? '';

function data<Data, Failure>(answer: Answer<Data, Failure>, status: number): NonNullable<Data> {
    same([status, undefined], [answer.response?.status, answer.error]);
    ok(answer.data);
    return answer.data;
}

/** Compiles only where each failure that the document knows is a problem. */
function problem<Data>(answer: Answer<Data, Problem>, status: number): Problem {
    same(status, answer.response?.status);
    ok(answer.error);
    return answer.error;
}

async function loggedIn() {
    const visitor = createClient(createConfig({ baseUrl }));
    const body = { email: env['SMOKE_EMAIL'] ?? '', password: env['SMOKE_PASSWORD'] ?? '' };
    const tokens = data(await authLogIn({ client: visitor, body }), 200);
    const auth = (way: { scheme?: string }) => (way.scheme === 'bearer' ? tokens.access_token : undefined);
    return createClient(createConfig({ baseUrl, auth }));
}

const client = await loggedIn();

// The key makes it one project, however often it is sent.
const headers = { 'Idempotency-Key': randomUUID() };
const created = await projectsCreate({ client, body: { name: 'Soyuz' }, headers });
const replayed = await projectsCreate({ client, body: { name: 'Soyuz' }, headers });
const project = data(created, 201);
same(project, data(replayed, 201));
same('true', replayed.response?.headers.get('Idempotency-Replayed'));
const wanted = Array.from({ length: 7 }, (_, index) => ({ name: `Soyuz ${11 + index}` }));
const made = data(await projectsCreateMany({ client, body: { items: wanted } }), 201);
same(wanted.map((item) => item.name), made.items.map((item) => item.name));

// Pages of a filtered list.
const found: Project[] = [];
let cursor: string | undefined;
do {
    const query = { limit: 3, sort: 'name', 'name[contains]': 'soyuz 1', include_total: true, cursor } as const;
    const page = data(await projectsList({ client, query }), 200);
    found.push(...page.items);
    same(wanted.length, page.total);
    cursor = page.next_cursor ?? undefined;
} while (cursor);
same(wanted.map((item) => item.name), found.map((item) => item.name));
const chosen = { 'id[in]': found.slice(0, 2).map((item) => item.id), sort: 'name' } as const;
same(found.slice(0, 2), data(await projectsList({ client, query: chosen }), 200).items);

// What was read is read again only if it changed, and changed only if it is still as it was read.
const path = { project_id: project.id };
const read = await projectsGet({ client, path });
same(project, data(read, 200));
const version = read.response?.headers.get('ETag') ?? '';
const again = await projectsGet({ client, path, headers: { 'If-None-Match': version } });
same(304, again.response?.status);
const match = { 'If-Match': version };
same('Salyut', data(await projectsChange({ client, path, body: { name: 'Salyut' }, headers: match }), 200).name);
const late = await projectsChange({ client, path, body: { name: 'Vostok' }, headers: match });
same('precondition_failed', problem(late, 412).code);

// Failures have types, too.
const missing = { project_id: randomUUID() };
same('project_not_found', problem(await projectsGet({ client, path: missing }), 404).code);
const invalid = problem(await projectsCreate({ client, body: { name: '' } }), 422);
same(['/name'], invalid.errors?.map((error) => error.pointer));

same(204, (await authLogOut({ client })).response?.status);
same('session_ended', problem(await projectsGet({ client, path }), 401).code);
