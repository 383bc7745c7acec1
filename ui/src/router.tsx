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
import { lastProject } from './shell/lastProject';
import { NoProjectPage } from './shell/NoProjectPage';
import { Shell } from './shell/Shell';
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

const root = createRootRoute({ component: Outlet });

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
    typeof search.next === 'string' && /^\/(?!\/)/.test(search.next) ? { next: search.next } : {},
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
  component: lazyRouteComponent(() => import('./chat/ChatPage'), 'NewChatPage'),
});

const chat = createRoute({
  getParentRoute: () => project,
  path: 'chat/$chat',
  component: lazyRouteComponent(() => import('./chat/ChatPage'), 'ChatPage'),
});

export const router = createRouter({
  routeTree: root.addChildren([home, signIn, project.addChildren([chats, chat])]),
  defaultPreload: 'intent',
  defaultErrorComponent: ErrorPage,
  defaultNotFoundComponent: NotFoundPage,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
