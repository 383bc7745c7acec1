import { useMantineColorScheme } from '@mantine/core';
import { Spotlight, type SpotlightActionData } from '@mantine/spotlight';
import {
  IconFolder,
  IconKey,
  IconLogout,
  IconMoon,
  IconPlus,
  IconSearch,
  IconSun,
} from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { projectsQuery } from '../api/queries';
import { PAGES } from './pages';
import { useMe } from './useProject';
import { useSignOut } from './useSignOut';

interface CommandPaletteProps {
  project: string;
  onNewChat: () => void;
  onNewKey?: () => void;
}

/** Everything that the shell can do, by its name. Ctrl+K or Cmd+K opens it. */
export function CommandPalette({ project, onNewChat, onNewKey }: CommandPaletteProps) {
  const navigate = useNavigate();
  const me = useMe();
  const signOut = useSignOut();
  const { setColorScheme } = useMantineColorScheme();
  const { data: projects = [] } = useQuery(projectsQuery);
  const granted = me.projects[project] ?? [];

  const actions: SpotlightActionData[] = [
    {
      id: 'new chat',
      label: 'New chat',
      description: 'Ctrl+Shift+O',
      leftSection: <IconPlus size={18} />,
      onClick: onNewChat,
    },
    ...PAGES.filter((page) => granted.includes(page.permission)).map(({ to, label, icon: Icon }) => ({
      id: `page ${label}`,
      label: `Go to ${label}`,
      leftSection: <Icon size={18} />,
      onClick: () => navigate({ to, params: { project } }),
    })),
    ...projects
      .filter((found) => found.key !== project)
      .map((found) => ({
        id: `project ${found.key}`,
        label: `Switch to project ${found.name}`,
        description: found.name === found.key ? undefined : found.key,
        leftSection: <IconFolder size={18} />,
        onClick: () => navigate({ to: '/projects/$project/chat', params: { project: found.key } }),
      })),
    ...(onNewKey
      ? [
          {
            id: 'new key',
            label: 'Generate new API key',
            leftSection: <IconKey size={18} />,
            onClick: onNewKey,
          },
        ]
      : []),
    {
      id: 'light',
      label: 'Light colors',
      leftSection: <IconSun size={18} />,
      onClick: () => setColorScheme('light'),
    },
    {
      id: 'dark',
      label: 'Dark colors',
      leftSection: <IconMoon size={18} />,
      onClick: () => setColorScheme('dark'),
    },
    { id: 'sign out', label: 'Sign out', leftSection: <IconLogout size={18} />, onClick: signOut },
  ];
  return (
    <Spotlight
      actions={actions}
      shortcut={['mod + K']}
      // Also where somebody writes, which is where one is most of the time.
      tagsToIgnore={[]}
      limit={12}
      attributes={{ content: { 'aria-label': 'Commands' } }}
      highlightQuery
      nothingFound="No such command"
      searchProps={{
        leftSection: <IconSearch size={18} />,
        placeholder: 'Type a command',
        'aria-label': 'Type a command',
      }}
    />
  );
}
