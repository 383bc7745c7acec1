import { Tabs } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { ComponentType } from 'react';
import { Page } from '../components/Page';
import { useMe, useProject } from '../shell/useProject';
import { GradersTab } from './GradersTab';
import { KeysTab } from './KeysTab';
import { ProjectTab } from './ProjectTab';
import { RolesTab } from './RolesTab';
import { SharesTab } from './SharesTab';
import { TeamsTab } from './TeamsTab';
import { UsersTab } from './UsersTab';

const ROUTE = '/projects/$project/settings';

interface Tab {
  value: string;
  label: string;
  /** Without it there is nothing to see. */
  permission?: string;
  component: ComponentType<{ project: string }>;
}

const OF_THE_PROJECT: Tab[] = [
  { value: 'project', label: 'Project', component: ProjectTab },
  { value: 'keys', label: 'API keys', component: KeysTab },
  { value: 'graders', label: 'Graders', permission: 'interaction:read', component: GradersTab },
  { value: 'shares', label: 'Shares', component: SharesTab },
];
const OF_THE_SERVER: Tab[] = [
  { value: 'users', label: 'Users', permission: 'admin:manage_users', component: UsersTab },
  { value: 'teams', label: 'Teams', component: TeamsTab },
  { value: 'roles', label: 'Roles', component: RolesTab },
];

/** The project, who may use it, and the people of the server: as much of it as the key may see. */
export function SettingsPage() {
  const project = useProject();
  const me = useMe();
  const navigate = useNavigate({ from: ROUTE });
  const granted = me.projects[project] ?? [];
  const tabs = [
    ...OF_THE_PROJECT.filter(({ permission }) => !permission || granted.includes(permission)),
    ...OF_THE_SERVER.filter(({ permission }) => !permission || me.permissions.includes(permission)),
  ];
  const asked = useSearch({ from: ROUTE }).tab;
  const shown = tabs.find(({ value }) => value === asked) ?? tabs[0]!;
  const Shown = shown.component;
  return (
    <Page title="Settings">
      <Tabs
        value={shown.value}
        onChange={(tab) => void navigate({ search: { tab: tab! } })}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          {tabs.map(({ value, label }) => (
            <Tabs.Tab key={value} value={value}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={shown.value}>
          <Shown project={project} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
