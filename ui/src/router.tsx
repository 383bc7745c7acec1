import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router';
import { ApiError } from './api/errors';
import { meQuery, queryClient } from './api/queries';
import { ErrorPage } from './components/ErrorPage';
import { NotFoundPage } from './components/NotFoundPage';
import { parseSearch } from './interactions/filter';
import { lastProject } from './shell/lastProject';
import { NoProjectPage } from './shell/NoProjectPage';
import { Shell } from './shell/Shell';
import { SignInAgain } from './shell/SignInAgain';
import { SignInPage } from './shell/SignInPage';

/** Who is signed in; sends everybody else to the page where one does that. */
async function signedIn(href: string) {
  try {
    return await queryClient.ensureQueryData(meQuery);
  } catch (error) {
    if (error instanceof ApiError && error.isSignedOut)
      throw redirect({ to: '/sign-in', search: { next: href } });
    throw error;
  }
}

/** The file of a page, whose absence the page of errors tells: the router would load the address anew, which leaves
 * nothing of the application where the server is gone. */
function told<Module>(load: () => Promise<Module>): () => Promise<Module> {
  return () =>
    load().catch((cause: Error) => {
      throw new Error(`Not loaded: ${cause.message}`, { cause });
    });
}

const root = createRootRoute({
  component: () => (
    <>
      <Outlet />
      <SignInAgain />
    </>
  ),
});

const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  beforeLoad: async ({ location }) => {
    const me = await signedIn(location.href);
    const project = lastProject(Object.keys(me.projects));
    if (project) throw redirect({ to: '/projects/$project/chat', params: { project } });
  },
  component: NoProjectPage,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: (search): { next?: string } =>
    typeof search.next === 'string' && /^\/(?![/\\])/.test(search.next) ? { next: search.next } : {},
  component: SignInPage,
});

const project = createRoute({
  getParentRoute: () => root,
  path: '/projects/$project',
  beforeLoad: ({ location }) => signedIn(location.href),
  component: Shell,
});

const chats = createRoute({
  getParentRoute: () => project,
  path: 'chat',
  validateSearch: (search): { share?: string } =>
    typeof search.share === 'string' ? { share: search.share } : {},
  component: lazyRouteComponent(
    told(() => import('./chat/ChatPage')),
    'NewChatPage',
  ),
});

const chat = createRoute({
  getParentRoute: () => project,
  path: 'chat/$chat',
  component: lazyRouteComponent(
    told(() => import('./chat/ChatPage')),
    'ChatPage',
  ),
});

const interactions = createRoute({
  getParentRoute: () => project,
  path: 'interactions',
  validateSearch: parseSearch,
  component: lazyRouteComponent(
    told(() => import('./interactions/InteractionsPage')),
    'InteractionsPage',
  ),
});

const metrics = createRoute({
  getParentRoute: () => project,
  path: 'metrics',
  validateSearch: (search): { span?: string } =>
    typeof search.span === 'string' ? { span: search.span } : {},
  component: lazyRouteComponent(
    told(() => import('./metrics/MetricsPage')),
    'MetricsPage',
  ),
});

const abTests = createRoute({
  getParentRoute: () => project,
  path: 'ab-tests',
  component: lazyRouteComponent(
    told(() => import('./ab_tests/AbTestsPage')),
    'AbTestsPage',
  ),
});

const abTest = createRoute({
  getParentRoute: () => project,
  path: 'ab-tests/$test',
  component: lazyRouteComponent(
    told(() => import('./ab_tests/AbTestPage')),
    'AbTestPage',
  ),
});

const models = createRoute({
  getParentRoute: () => project,
  path: 'models',
  component: lazyRouteComponent(
    told(() => import('./models/ModelsPage')),
    'ModelsPage',
  ),
});

const model = createRoute({
  getParentRoute: () => project,
  path: 'models/$model',
  component: lazyRouteComponent(
    told(() => import('./models/ModelPage')),
    'ModelPage',
  ),
});

const settings = createRoute({
  getParentRoute: () => project,
  path: 'settings',
  validateSearch: (search): { tab?: string } => (typeof search.tab === 'string' ? { tab: search.tab } : {}),
  component: lazyRouteComponent(
    told(() => import('./settings/SettingsPage')),
    'SettingsPage',
  ),
});

const pages = [chats, chat, interactions, metrics, abTests, abTest, models, model, settings] as const;

export const router = createRouter({
  routeTree: root.addChildren([home, signIn, project.addChildren(pages)]),
  // What a route does not know of its address is no part of what its page is given.
  search: { strict: true },
  defaultPreload: 'intent',
  defaultErrorComponent: ErrorPage,
  defaultNotFoundComponent: NotFoundPage,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
