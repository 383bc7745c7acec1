import {
  IconAdjustments,
  IconGavel,
  IconKey,
  IconShare,
  IconShield,
  IconUser,
  IconUsersGroup,
  type TablerIcon,
} from '@tabler/icons-react';

/** One part of the page Settings; `permission` is what there is nothing to see without. */
export interface SettingsTab {
  value: 'project' | 'keys' | 'graders' | 'shares' | 'users' | 'teams' | 'roles';
  label: string;
  icon: TablerIcon;
  permission?: string;
}

/** Those of the project, then those of the server. */
export const SETTINGS_TABS: SettingsTab[] = [
  { value: 'project', label: 'Project', icon: IconAdjustments },
  { value: 'keys', label: 'API keys', icon: IconKey },
  { value: 'graders', label: 'Graders', icon: IconGavel, permission: 'interaction:read' },
  { value: 'shares', label: 'Shares', icon: IconShare },
  { value: 'users', label: 'Users', icon: IconUser, permission: 'admin:manage_users' },
  { value: 'teams', label: 'Teams', icon: IconUsersGroup },
  { value: 'roles', label: 'Roles', icon: IconShield },
];
