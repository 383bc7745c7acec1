import { useMantineColorScheme } from '@mantine/core';
import { Spotlight, type SpotlightActionData, type SpotlightActionGroupData } from '@mantine/spotlight';
import {
  IconDeviceDesktop,
  IconFolder,
  IconFolderPlus,
  IconKey,
  IconLogout,
  IconMoon,
  IconPlus,
  IconSearch,
  IconSun,
  type TablerIcon,
} from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { projectsQuery } from '../api/queries';
import { commandsFor } from './commands';
import { PAGES } from './pages';
import { SETTINGS_TABS } from './settingsTabs';
import { ask } from './useAsked';
import { useMe } from './useProject';
import { useSignOut } from './useSignOut';

interface CommandPaletteProps {
  project: string;
  onNewChat?: () => void;
  onNewKey?: () => void;
  onNewProject?: () => void;
}

/** Every page, and everything that can be begun on one, by its name. Ctrl+K or Cmd+K opens it. */
export function CommandPalette({ project, onNewChat, onNewKey, onNewProject }: CommandPaletteProps) {
  const navigate = useNavigate();
  const me = useMe();
  const signOut = useSignOut();
  const { setColorScheme } = useMantineColorScheme();
  const { data: projects = [] } = useQuery(projectsQuery);
  const may = (permission: string) =>
    permission.startsWith('admin:')
      ? me.permissions.includes(permission)
      : (me.projects[project] ?? []).includes(permission);

  const tabs = SETTINGS_TABS.filter(({ permission }) => !permission || may(permission));
  const groups: SpotlightActionGroupData[] = [
    {
      group: 'Pages',
      actions: [
        ...PAGES.filter((page) => may(page.permission)).map(({ to, label, icon }) =>
          command(`Go to ${label}`, icon, () => navigate({ to, params: { project } })),
        ),
        ...(may('project:read') ? tabs : []).map(({ value, label, icon }) =>
          command(`Go to Settings: ${label}`, icon, () =>
            navigate({ to: '/projects/$project/settings', params: { project }, search: { tab: value } }),
          ),
        ),
      ],
    },
    {
      group: 'Actions',
      actions: [
        ...(onNewChat ? [command('New chat', IconPlus, onNewChat, 'Ctrl+Shift+O')] : []),
        ...commandsFor(may).map(({ name, icon, to, tab }) =>
          command(name, icon, async () => {
            await navigate({ to, params: { project }, ...(tab ? { search: { tab } } : {}) });
            ask(name);
          }),
        ),
        ...(onNewProject ? [command('Create project', IconFolderPlus, onNewProject)] : []),
        ...(onNewKey ? [command('Generate new API key', IconKey, onNewKey)] : []),
        command('Light colors', IconSun, () => setColorScheme('light')),
        command('Dark colors', IconMoon, () => setColorScheme('dark')),
        command('Colors of the system', IconDeviceDesktop, () => setColorScheme('auto')),
        command('Sign out', IconLogout, signOut),
      ],
    },
    {
      group: 'Projects',
      actions: projects
        .filter((found) => found.key !== project)
        .map((found) => ({
          ...command(`Switch to project ${found.name}`, IconFolder, () =>
            navigate({ to: '/projects/$project/chat', params: { project: found.key } }),
          ),
          id: `project ${found.key}`,
          description: found.name === found.key ? undefined : found.key,
        })),
    },
  ];
  return (
    <Spotlight
      actions={groups}
      shortcut={['mod + K']}
      // Also where somebody writes, which is where one is most of the time.
      tagsToIgnore={[]}
      scrollable
      maxHeight="min(460px, 70vh)"
      limit={60}
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

function command(
  label: string,
  Icon: TablerIcon,
  onClick: () => unknown,
  description?: string,
): SpotlightActionData {
  return {
    id: label,
    label,
    description,
    leftSection: <Icon size={18} stroke={1.7} />,
    onClick: () => void onClick(),
  };
}
