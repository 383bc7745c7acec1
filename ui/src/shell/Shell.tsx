import {
  ActionIcon,
  AppShell,
  Burger,
  Group,
  Kbd,
  NavLink,
  ScrollArea,
  Stack,
  Text,
  UnstyledButton,
} from '@mantine/core';
import { useDisclosure, useHotkeys } from '@mantine/hooks';
import { spotlight } from '@mantine/spotlight';
import { IconPlus, IconSearch } from '@tabler/icons-react';
import { useQuery, useSuspenseQuery } from '@tanstack/react-query';
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useEffect } from 'react';
import { meQuery, projectsQuery } from '../api/queries';
import { NotFoundPage } from '../components/NotFoundPage';
import { AccountMenu } from './AccountMenu';
import { CommandPalette } from './CommandPalette';
import { rememberProject } from './lastProject';
import { NewKeyDialog } from './NewKeyDialog';
import { NewProjectDialog } from './NewProjectDialog';
import { ProjectSwitcher } from './ProjectSwitcher';
import { PAGES } from './pages';
import classes from './Shell.module.css';
import { useMayOnServer } from './useMayOnServer';
import { useMay, useProject } from './useProject';

const ChatHistory = lazy(() =>
  import('../chat/ChatHistory').then((module) => ({ default: module.ChatHistory })),
);

/** What surrounds every page of a project. */
export function Shell() {
  const project = useProject();
  const me = useSuspenseQuery(meQuery).data;
  const permissions = me.projects[project];
  useEffect(() => {
    if (permissions) rememberProject(project);
  }, [project, permissions]);
  // Unknown and foreign look the same here too.
  return permissions ? <ShellOfProject project={project} /> : <NotFoundPage />;
}

function ShellOfProject({ project }: { project: string }) {
  const me = useSuspenseQuery(meQuery).data;
  const [menu, { toggle, close }] = useDisclosure(false);
  const [newKey, { open: openNewKey, close: closeNewKey }] = useDisclosure(false);
  const [newProject, { open: openNewProject, close: closeNewProject }] = useDisclosure(false);
  const { data: projects = [] } = useQuery(projectsQuery);
  const name = projects.find(({ key }) => key === project)?.name ?? project;
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const mayChat = useMay('completion:create');
  const mayShare = useMay('project:share');
  const mayCreate = useMayOnServer('project:create');
  const pages = PAGES.filter((page) => me.projects[project]!.includes(page.permission));

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page covers the menu that led to it
  useEffect(close, [path]);

  const newChat = () => navigate({ to: '/projects/$project/chat', params: { project } });
  // Also where somebody writes.
  useHotkeys(mayChat ? [['mod+shift+O', newChat]] : [], []);

  return (
    <AppShell
      layout="alt"
      // What measures itself while its place is still moving keeps the wrong size.
      transitionDuration={0}
      header={{ height: { base: 52, sm: 0 } }}
      navbar={{ width: 272, breakpoint: 'sm', collapsed: { mobile: !menu } }}
      padding={0}
    >
      <a className="skip-link" href="#content">
        Skip to the content
      </a>
      <AppShell.Header hiddenFrom="sm" px="sm">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Burger opened={menu} onClick={toggle} size="sm" aria-label="Navigation" />
          <Text fw={600} className="truncate">
            {name}
          </Text>
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            onClick={newChat}
            disabled={!mayChat}
            aria-label="New chat"
          >
            <IconPlus size={20} />
          </ActionIcon>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar className={classes.navbar} aria-label="Project">
        <Group p="sm" gap="xs" wrap="nowrap">
          <ProjectSwitcher
            project={project}
            onNewKey={mayShare ? openNewKey : undefined}
            onNewProject={mayCreate ? openNewProject : undefined}
          />
          <Burger opened={menu} onClick={toggle} size="sm" hiddenFrom="sm" aria-label="Close navigation" />
        </Group>
        <Stack gap={2} px="sm" pb="xs">
          <UnstyledButton className={classes.search} onClick={spotlight.open}>
            <IconSearch size={16} stroke={1.8} />
            <span>Search</span>
            <Kbd size="xs">Ctrl K</Kbd>
          </UnstyledButton>
          {pages.map(({ to, label, icon: Icon }) => (
            <NavLink
              key={to}
              renderRoot={(props) => <Link to={to} params={{ project }} {...props} />}
              label={label}
              leftSection={<Icon size={18} stroke={1.7} />}
              active={path.startsWith(to.replace('$project', encodeURIComponent(project)))}
              className={classes.link}
            />
          ))}
        </Stack>
        <ScrollArea className={classes.history} type="hover" scrollbarSize={8}>
          {mayChat && (
            <Suspense>
              <ChatHistory project={project} />
            </Suspense>
          )}
        </ScrollArea>
        <div className={classes.account}>
          <AccountMenu />
        </div>
      </AppShell.Navbar>
      <AppShell.Main className={classes.main} id="content" tabIndex={-1}>
        <Outlet />
      </AppShell.Main>
      <CommandPalette
        project={project}
        onNewChat={mayChat ? newChat : undefined}
        onNewKey={mayShare ? openNewKey : undefined}
        onNewProject={mayCreate ? openNewProject : undefined}
      />
      {newKey && <NewKeyDialog project={project} onClose={closeNewKey} />}
      {newProject && <NewProjectDialog onClose={closeNewProject} />}
    </AppShell>
  );
}
